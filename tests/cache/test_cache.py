"""Documents of the cache: whole or not at all, sealed, and never a reason to fail."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.faults import DONE, kill, run_with_fault
from support.permissions import open_the_way

from nix2oci.cache.directory import Cache
from nix2oci.cache.sealed_json import SealedJson

NEVER = 1 << 30
DOCUMENT = {"digest": "sha256:0", "paths": ["a", "b"], "size": 3, "line": None}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def documents(tmp_path: Path, said: list[str]) -> SealedJson:
    return SealedJson(str(tmp_path / "cache/layers"), said.append, said.append)


def test_what_was_written_is_read(documents: SealedJson, said: list[str]) -> None:
    documents.write("one", DOCUMENT)
    assert documents.read("one") == DOCUMENT
    assert (documents.read("two"), said) == (None, [])


def test_the_last_one_written_counts(documents: SealedJson) -> None:
    documents.write("one", {"n": 1})
    documents.write("one", {"n": 2})
    assert documents.read("one") == {"n": 2}
    assert os.listdir(documents.directory) == ["one"]


def test_reading_is_using(documents: SealedJson) -> None:
    documents.write("one", DOCUMENT)
    path = Path(documents.directory, "one")
    os.utime(path, (1, 1))
    documents.read("one")
    assert path.stat().st_mtime > 1


# Few members at each level: without a bound most examples grow past `max_leaves`, and are thrown
# away and drawn again, which takes ten times as long and finds none that is deeper.
Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(document=st.dictionaries(st.text(), Json, max_size=5))
def test_any_object_comes_back(
    document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    documents = SealedJson(str(tmp_path_factory.mktemp("cache")))
    documents.write("one", document)
    assert documents.read("one") == document


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a bit is another": lambda data: data[:90] + bytes([data[90] ^ 1]) + data[91:],
    "the seal is another": lambda data: b"0" * 64 + data[64:],
    "the end is missing": lambda data: data[:-1],
    "it is empty": lambda _: b"",
    "it is longer": lambda data: data + b" ",
    "it is no JSON": lambda _: b"\xff" * 200,
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_document_is_removed(name: str, documents: SealedJson, said: list[str]) -> None:
    documents.write("one", DOCUMENT)
    path = Path(documents.directory, "one")
    path.write_bytes(DAMAGE[name](path.read_bytes()))
    assert documents.read("one") is None
    assert said == [f"{path} is damaged and is not used"]
    assert not path.exists()


def test_a_document_under_another_name_is_damaged(documents: SealedJson) -> None:
    documents.write("one", DOCUMENT)
    Path(documents.directory, "one").rename(Path(documents.directory, "two"))
    assert documents.read("two") is None


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "file").touch()
    documents = SealedJson(str(tmp_path / "file/layers"), said.append, said.append)
    documents.write("one", DOCUMENT)
    assert documents.read("one") is None
    assert said == [
        f"nothing is kept in {documents.directory}: Not a directory",
        f"cannot use {documents.directory}/one: Not a directory",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_directory_that_is_read_only_is_read(documents: SealedJson, said: list[str]) -> None:
    documents.write("one", DOCUMENT)
    open_the_way(Path(documents.directory, "one"))
    Path(documents.directory).chmod(0o755)
    Path(documents.directory, "one").chmod(0o444)

    def work() -> None:
        os.setuid(65534)
        assert documents.read("one") == DOCUMENT
        assert said == []

    assert run_with_fault(work, kill, NEVER) == DONE


@pytest.mark.parametrize("operation", range(6))
def test_a_kill_leaves_the_old_or_the_new(documents: SealedJson, operation: int) -> None:
    documents.write("one", {"n": 1})
    run_with_fault(lambda: documents.write("one", {"n": 2}), kill, operation)
    assert documents.read("one") in ({"n": 1}, {"n": 2})


def test_a_cache_is_marked_for_backups(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"), 0)
    assert cache.prepare()
    tag = (tmp_path / "cache/CACHEDIR.TAG").read_text()
    assert tag.startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


def test_a_cache_that_cannot_be_made_says_why(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "file").touch()
    cache = Cache(str(tmp_path / "file/cache"), 0, remark=said.append)
    assert not cache.prepare()
    assert said == [f"nothing is kept in the cache at {tmp_path}/file/cache: Not a directory"]
