"""Trees: a path has one owner, or several who agree; each parent once, before its children."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.errors import ConflictError, RepresentationError
from nix2oci.model.tree import (
    ROOT,
    Directory,
    Entry,
    File,
    Owned,
    Symlink,
    Tree,
    check_name,
    parents,
    sort_key,
    text_file,
)
from nix2oci.text import display


def merge(*entries: tuple[Entry, str]) -> Tree:
    return Tree.merge(Owned(entry, owner) for entry, owner in entries)


def test_missing_parents_are_directories_that_anyone_may_enter() -> None:
    tree = merge((File(b"a/b/c", 0, ()), "one"))
    assert list(tree) == [Directory(b"a", 0o755), Directory(b"a/b", 0o755), File(b"a/b/c", 0, ())]
    assert tree.owned[b"a"].owner == "one"
    assert len(tree) == 3


def test_a_parent_that_is_given_keeps_its_mode() -> None:
    tree = merge((File(b"tmp/x", 0, ()), "one"), (Directory(b"tmp", 0o1777, 5, 6), "two"))
    assert list(tree) == [Directory(b"tmp", 0o1777, 5, 6), File(b"tmp/x", 0, ())]


def test_the_order_is_depth_first_by_the_bytes_of_names() -> None:
    names = [b"a/b", b"a-b", b"a", b"B", b"\xff", b"a.b", ROOT, b"a/b/c", b"~"]
    tree = merge(*((Directory(name), "one") for name in names))
    assert [entry.path for entry in tree] == [
        *(ROOT, b"B", b"a", b"a/b", b"a/b/c", b"a-b", b"a.b", b"~", b"\xff")
    ]


def test_get_does_not_follow_links() -> None:
    tree = merge((Symlink(b"bin", b"usr/bin"), "one"), (Directory(b"usr/bin"), "one"))
    assert tree.get(b"bin") == Symlink(b"bin", b"usr/bin")
    assert tree.get(b"bin/sh") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(File(b"x", 2, (b"ab",)), File(b"x", 2, (b"a", b"b")), id="content in pieces"),
        pytest.param(text_file("x", "é"), text_file("x", "é"), id="equal text"),
        pytest.param(Symlink(b"x", b"y"), Symlink(b"x", b"y"), id="equal links"),
        pytest.param(Directory(b"x", 0o755), Directory(b"x", 0o755), id="equal directories"),
    ],
)
def test_owners_who_agree_share_a_path_and_the_first_is_its_owner(one: Entry, other: Entry) -> None:
    tree = merge((one, "one"), (other, "two"))
    assert tree.owned == {b"x": Owned(one, "one")}


FILE = File(b"x", 1, (b"a",))
CLASHES = [
    pytest.param(FILE, File(b"x", 1, (b"b",)), id="other content"),
    pytest.param(FILE, File(b"x", 2, (b"aa",)), id="other size"),
    pytest.param(FILE, File(b"x", 1, (b"a",), 0o555), id="other mode of a file"),
    pytest.param(FILE, File(b"x", 1, (b"a",), uid=1), id="other user of a file"),
    pytest.param(FILE, File(b"x", 1, (b"a",), gid=1), id="other group of a file"),
    pytest.param(FILE, Symlink(b"x", b"a"), id="a file and a link"),
    pytest.param(FILE, Directory(b"x"), id="a file and a directory"),
    pytest.param(Symlink(b"x", b"a"), Symlink(b"x", b"b"), id="other targets"),
    pytest.param(Symlink(b"x", b"a"), Directory(b"x"), id="a link and a directory"),
    pytest.param(Directory(b"x", 0o755), Directory(b"x", 0o1777), id="other mode of a directory"),
    pytest.param(Directory(b"x", uid=1), Directory(b"x"), id="other user of a directory"),
    pytest.param(Directory(b"x", gid=1), Directory(b"x"), id="other group of a directory"),
]


@pytest.mark.parametrize(("one", "other"), CLASHES)
def test_a_clash_names_both_owners(one: Entry, other: Entry) -> None:
    with pytest.raises(ConflictError) as caught:
        merge((one, "the flake"), (other, "the view"))
    assert str(caught.value) == "cannot place /x: both the flake and the view provide it"
    assert caught.value.path == "/x"
    assert caught.value.owners == ("the flake", "the view")
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("above", [FILE, Symlink(b"x", b"y")], ids=["a file", "a link"])
@pytest.mark.parametrize("first", [True, False])
def test_nothing_lies_inside_what_is_no_directory(above: Entry, *, first: bool) -> None:
    entries = [(above, "the flake"), (text_file("x/y/z", ""), "the view")]
    with pytest.raises(ConflictError) as caught:
        merge(*(entries if first else reversed(entries)))
    assert str(caught.value) == "cannot place /x: both the flake and the view provide it"


def test_a_clash_on_a_name_that_cannot_be_shown_is_one_line() -> None:
    with pytest.raises(ConflictError) as caught:
        merge((Symlink(b"a\n\xff", b"x"), "one"), (Symlink(b"a\n\xff", b"y"), "two"))
    assert str(caught.value) == "cannot place /a\\n\\xff: both one and two provide it"


@pytest.mark.parametrize("path", [b".wh.x", b"a/.wh..wh..opq", b".wh./b", b"a/.wh.b/c"])
def test_a_tree_takes_no_name_that_marks_a_deletion(path: bytes) -> None:
    with pytest.raises(RepresentationError) as caught:
        merge((text_file(path.decode(), ""), "one"))
    assert str(caught.value) == (
        f"cannot put /{path.decode()} into a layer: names that start with '.wh.' mark deletions"
    )


@pytest.mark.parametrize("path", [b".w", b"x.wh.y", b"a/b.wh.", b".WH.x", b"wh.x", b".whx", b"."])
def test_other_names_may_be_in_a_layer(path: bytes) -> None:
    check_name(path)
    assert merge((Directory(path), "one")).get(path) == Directory(path)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        pytest.param(b"caf\xc3\xa9 1", "café 1", id="what can be read is kept"),
        pytest.param(b"\xff\xfe", "\\xff\\xfe", id="stray bytes"),
        pytest.param(b"a\nb\tc\x1b[31m", "a\\nb\\tc\\x1b[31m", id="control characters"),
        pytest.param("\u202e\u200b".encode(), "\\u202e\\u200b", id="what turns or hides text"),
        pytest.param(b"", "", id="nothing"),
    ],
)
def test_a_name_is_shown_in_one_line(name: bytes, shown: str) -> None:
    assert display(name) == shown


@given(st.binary(max_size=30))
def test_any_name_can_be_shown(name: bytes) -> None:
    assert display(name).isprintable()


def test_parents_are_named_nearest_first_without_the_root() -> None:
    assert list(parents(b"a/b/c")) == [b"a/b", b"a"]
    assert list(parents(b"a")) == list(parents(ROOT)) == []


def test_a_text_file_is_its_utf_8() -> None:
    assert text_file("etc/x", "é\n") == File(b"etc/x", 3, ("é\n".encode(),), 0o644)


_PATHS = st.lists(
    st.sampled_from([b"a", b"b", b"a-", b"a.b", b"\xff"]), min_size=1, max_size=4
).map(b"/".join)


def _entries(paths: list[bytes], every: list[bytes]) -> list[Owned]:
    """What lies above another path is a directory, all else a file."""
    inner = {parent for path in every for parent in parents(path)}
    return [
        Owned(Directory(path) if path in inner else File(path, len(path), (path,)), "one")
        for path in paths
    ]


@given(
    st.lists(_PATHS, max_size=12, unique=True).flatmap(
        lambda paths: st.tuples(st.just(paths), st.permutations(paths))
    )
)
def test_a_tree_is_the_same_whatever_the_order_of_its_entries(
    both: tuple[list[bytes], list[bytes]],
) -> None:
    paths, shuffled = both
    tree = Tree.merge(_entries(paths, paths))
    assert list(Tree.merge(_entries(shuffled, paths))) == list(tree)
    names = list(tree.owned)
    assert names == sorted(names, key=sort_key)
    for place, name in enumerate(names):
        assert set(parents(name)) <= set(names[:place])


def test_a_clash_is_found_in_every_order() -> None:
    entries: list[tuple[Entry, str]] = [
        (FILE, "one"),
        (text_file("x/y", ""), "two"),
        (Directory(b"z"), "three"),
    ]
    for some in permutations(entries):
        with pytest.raises(ConflictError):
            merge(*some)
