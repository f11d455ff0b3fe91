"""Where paths of a base image lead, its links followed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.errors import RepresentationError
from nix2oci.model.tree import Directory
from nix2oci.plan.overlay.lower_tree import LowerTree


def lower(
    links: Mapping[bytes, bytes], *directories: bytes, files: tuple[bytes, ...] = ()
) -> LowerTree:
    return LowerTree({path: Directory(path) for path in directories}, links, frozenset(files))


@pytest.mark.parametrize(
    ("links", "path", "end"),
    [
        pytest.param({}, b"usr/bin", b"usr/bin", id="a path without links is itself"),
        pytest.param({b"bin": b"usr/bin"}, b"bin/app", b"usr/bin/app", id="a linked directory"),
        pytest.param({b"bin": b"/usr/bin"}, b"bin/app", b"usr/bin/app", id="an absolute link"),
        pytest.param({b"usr/sbin": b"../bin"}, b"usr/sbin/x", b"bin/x", id="a link upwards"),
        pytest.param({b"a": b"../../../b"}, b"a/x", b"b/x", id="above the root is the root"),
        pytest.param({b"bin": b"/"}, b"bin", b"", id="a link to the root"),
        pytest.param(
            {b"a": b"b", b"b": b"c/d", b"c": b"/e"}, b"a/x", b"e/d/x", id="links that lead to links"
        ),
        pytest.param({b"usr/bin": b"../bin"}, b"usr/bin", b"bin", id="the last part is followed"),
        pytest.param({b"var/run": b"/run"}, b"var/run/x", b"run/x", id="what is not there"),
        pytest.param({b"a": b"./b/../c//"}, b"a", b"c", id="dots and slashes in a target"),
    ],
)
def test_links_are_followed(links: dict[bytes, bytes], path: bytes, end: bytes) -> None:
    assert lower(links).follow(path) == end


@pytest.mark.parametrize(
    "links",
    [
        pytest.param({b"a": b"a"}, id="to itself"),
        pytest.param({b"a": b"b", b"b": b"/a"}, id="to each other"),
        pytest.param({b"a": b"a/x"}, id="ever deeper"),
    ],
)
def test_circles_are_refused(links: dict[bytes, bytes]) -> None:
    with pytest.raises(RepresentationError) as raised:
        lower(links).follow(b"a/app")
    assert str(raised.value) == (
        "cannot place /a/app: links of the base image lead in circles there"
    )


def test_what_is_there_is_known_by_its_own_path_or_by_a_link() -> None:
    found = lower({b"bin": b"usr/bin"}, b"usr", b"usr/bin", files=(b"usr/bin/sh",))
    assert b"bin" in found
    assert b"usr/bin/sh" in found
    assert b"bin/sh" not in found
    assert found.has(b"bin/sh")
    assert not found.has(b"bin/bash")


NAMES = st.lists(st.sampled_from([b"a", b"b", b"c"]), min_size=1, max_size=3).map(b"/".join)


@given(st.dictionaries(NAMES, NAMES.map(lambda name: b"/" + name) | NAMES, max_size=4), NAMES)
def test_where_a_path_ends_no_link_is_left(links: dict[bytes, bytes], path: bytes) -> None:
    tree = lower(links)
    try:
        end = tree.follow(path)
    except RepresentationError:
        return
    parts = end.split(b"/")
    assert not any(b"/".join(parts[:n]) in links for n in range(1, len(parts) + 1))
    assert tree.follow(end) == end
