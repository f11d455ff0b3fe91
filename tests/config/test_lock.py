"""nix2oci.lock.yaml: what tags meant, and the same text for the same meaning."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.config.lock import Lock
from nix2oci.errors import ConfigError
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import Digest

A, B = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
DEBIAN = Reference.parse("docker.io/library/debian:12")
TEXT = f"""\
# Which images the tags in nix2oci.yaml mean. Written by nix2oci: commit it, do not edit it.
version: 1
images:
  "[::1]:5000/a:1": {B}
  "docker.io/library/debian:12": {A}
"""


def test_a_lock_is_a_file_that_people_can_read() -> None:
    lock = Lock().with_image(DEBIAN, A).with_image(Reference.parse("[::1]:5000/a:1"), B)
    assert str(lock) == TEXT
    assert Lock.parse(yaml.safe_load(TEXT)) == lock


def test_an_empty_lock_locks_nothing() -> None:
    assert Lock.parse(yaml.safe_load(str(Lock()))) == Lock()
    assert Lock().pinned(DEBIAN) is None


@pytest.mark.parametrize(
    ("reference", "pinned"),
    [
        pytest.param(str(DEBIAN), f"{DEBIAN}@{A}", id="a tag that is locked"),
        pytest.param(f"{DEBIAN}@{B}", f"{DEBIAN}@{B}", id="a digest of its own wins"),
        pytest.param("h.io/a", f"h.io/a@{B}", id="no tag means latest"),
        pytest.param("docker.io/library/debian:13", None, id="another tag"),
        pytest.param("debian:12", None, id="another way to write it"),
    ],
)
def test_references_are_pinned(reference: str, pinned: str | None) -> None:
    lock = Lock({str(DEBIAN): A, "h.io/a:latest": B})
    found = lock.pinned(Reference.parse(reference))
    assert (str(found) if found else None) == pinned


def test_a_tag_can_be_locked_anew() -> None:
    assert Lock({str(DEBIAN): A}).with_image(DEBIAN, B).images == {str(DEBIAN): B}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param([], "l: expected a mapping, got a list", id="no mapping"),
        pytest.param({"images": {}}, "l: version: expected 1, got nothing", id="no version"),
        pytest.param({"version": 2}, "l: version: expected 1, got 2", id="a later version"),
        pytest.param(
            {"version": 1, "images": {"A:1": str(A)}},
            "l: images: cannot read image reference 'A:1': 'A' is not a repository",
            id="no reference",
        ),
        pytest.param(
            {"version": 1, "images": {"a": str(A)}},
            "l: images: expected a reference with a tag and without a digest, got 'a'",
            id="no tag",
        ),
        pytest.param(
            {"version": 1, "images": {"a:1": "sha256:x"}},
            "l: images.a:1: expected sha256:<64 hex digits>, got 'sha256:x'",
            id="no digest",
        ),
    ],
)
def test_what_is_no_lock(document: object, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Lock.parse(document, "l")
    assert str(raised.value) == message


NAMES = st.sampled_from(["a:1", "h.io/b/c:latest", "[::1]:5/d:x", "localhost/e_f:1.2-3"])
LOCKS = st.dictionaries(NAMES, st.sampled_from([A, B])).map(Lock)


@given(LOCKS)
def test_what_is_written_is_read(lock: Lock) -> None:
    assert Lock.parse(yaml.safe_load(str(lock))) == lock
    assert str(Lock(dict(reversed(list(lock.images.items()))))) == str(lock)
