"""A store in which Nix told names that differ in case alone apart is read as what it stands for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.fakestore import FakeStore, Link, Node, Program, entries_of, nar, whole, write
from support.hacked import hacked

from nix2oci.errors import CaseHackError, StoreError
from nix2oci.model.closure import Closure, PathInfo
from nix2oci.nix.case_hack import NewNames, OnDisk, folds_case, names_in
from nix2oci.nix.places import nowhere
from nix2oci.nix.referring_files import Files
from nix2oci.nix.scan import scan
from nix2oci.nix.store import LocalStore, has_case_hack, store_entries
from nix2oci.nix.survey import survey
from nix2oci.nix.tools import programs, read_file

BASH: Node = {b"bin": {b"bash": Program(b"\x7fELF @(#)Bash version 5"), b"sh": Link(b"bash")}}
MARKED = b"foo~nix~case~hack~1"


def application(shell: PathInfo) -> Node:
    """Names that differ in case: directories, files in these, and programs, one with a shell."""
    script = b"#!" + str(shell.path).encode() + b"/bin/bash\nset -e\n"
    return {
        b"BIN": {b"other": Program(b"\x7fELF other")},
        b"bin": {b"App": Program(b"\x7fELF a"), b"app": Program(script), b"aPP": Link(b"app")},
        b"etc": {b"X": {b"a": b"1", b"A": b"2"}, b"x": {b"conf": b"3"}},
        b"share": {b"Foo": b"4", b"foo": {b"foo": b"5", b"FOO": {b"d": b"6"}}},
    }


class Twice:
    """A closure in a store as it is, and in another one with the case hack."""

    def __init__(self, top: Path) -> None:
        self.plain, self.hacked = FakeStore(top / "plain"), FakeStore(top / "hacked")
        shell = self.plain.add("bash-5", BASH)
        self.node = application(shell)
        self.app = self.plain.add("app-1", self.node, [shell.path])
        for info, node in ((shell, BASH), (self.app, self.node)):
            at = self.hacked.physical(info.path)
            os.makedirs(os.path.dirname(at), exist_ok=True)
            write(at, hacked(node))

    @property
    def closure(self) -> Closure:
        return self.plain.closure(self.app.path)


@pytest.fixture
def twice(tmp_path: Path) -> Twice:
    return Twice(tmp_path)


def test_entries_are_those_of_the_plain_store(twice: Twice) -> None:
    found = whole(store_entries(twice.app, twice.hacked.root, case_hack=True))
    assert found == entries_of(twice.app, twice.node)


def test_where_the_setting_says_no_the_hash_is_wrong_and_the_setting_is_named(
    twice: Twice,
) -> None:
    with pytest.raises(StoreError, match="do not match the hash") as caught:
        whole(store_entries(twice.app, twice.hacked.root))
    assert caught.value.hint == (
        "its names are as a Mac writes them, which the setting says: --option use-case-hack true"
    )


def test_where_nobody_says_it_the_hash_tells(twice: Twice, tmp_path: Path) -> None:
    found = whole(store_entries(twice.app, twice.hacked.root, case_hack=None))
    assert found == entries_of(twice.app, twice.node)
    store, node = FakeStore(tmp_path / "odd"), {b"d": {b"foo": b"1", MARKED: b"2"}}
    info = store.add("odd-1", node)
    assert whole(store_entries(info, store.root, case_hack=None)) == entries_of(info, node)
    assert not has_case_hack(info, store.root)


def test_where_nobody_says_it_what_is_found_is_not_decided_by_a_guess(twice: Twice) -> None:
    with pytest.raises(CaseHackError) as caught:
        survey(twice.closure, twice.hacked.root, case_hack=None)
    assert b"~nix~case~hack~" in caught.value.place
    assert caught.value.hint == "say which it is: --option use-case-hack true, or false"


def test_where_nobody_says_it_a_damaged_object_is_one(twice: Twice) -> None:
    twice.hacked.thaw(twice.app)
    with open(twice.hacked.physical(twice.app.path, b"/share/Foo"), "ab") as file:
        file.write(b"!")
    with pytest.raises(StoreError, match="do not match the hash"):
        whole(store_entries(twice.app, twice.hacked.root, case_hack=None))


def test_a_name_like_that_is_kept_where_there_is_no_case_hack(tmp_path: Path) -> None:
    store, node = FakeStore(tmp_path), {b"foo": b"1", MARKED: b"2"}
    info = store.add("odd-1", node)
    assert whole(store_entries(info, store.root)) == entries_of(info, node)


def test_two_names_that_stand_for_one_are_an_error(tmp_path: Path) -> None:
    store = FakeStore(tmp_path)
    info = store.add("odd-1", {b"foo": b"1", MARKED: b"2"})
    with pytest.raises(StoreError, match="has foo twice, also as foo~nix~case~hack~1"):
        whole(store_entries(info, store.root, case_hack=True))


def test_all_that_is_found_is_what_is_found_in_the_plain_store(twice: Twice) -> None:
    closure, plain, root = twice.closure, twice.plain.root, twice.hacked.root
    found = survey(closure, root, enter=lambda name: name.startswith(b"etc/"), case_hack=True)
    assert found == survey(closure, plain, enter=lambda name: name.startswith(b"etc/"))
    names = [program.target for program in found.programs]
    assert len(names) == 3
    assert scan(closure, names, root, case_hack=True) == scan(closure, names, plain)
    assert survey(closure, root, case_hack=False) != survey(closure, plain, enter=nowhere)
    shell = next(path for path in closure if path.name == "bash-5")
    for each in (Files(closure, plain), Files(closure, root, case_hack=True)):
        assert each.naming(shell, twice.app.path) == (b"bin/app",)


def test_programs_and_their_bytes(twice: Twice) -> None:
    closure, root = twice.closure, twice.hacked.root
    found = programs(closure, root, case_hack=True)
    assert found == programs(closure, twice.plain.root)
    data = read_file(closure, found[b"App"], LocalStore(root, case_hack=True))
    assert data == b"\x7fELF a"


def test_what_is_not_there_is_no_file_of_another_case(tmp_path: Path) -> None:
    (tmp_path / "nix/store/x/bin").mkdir(parents=True)
    (tmp_path / "nix/store/x/bin/App").touch()
    disk = OnDisk(os.fsencode(tmp_path), b"/nix/store", case_hack=True)
    assert disk.at(b"/nix/store/x/bin/App") == os.fsencode(tmp_path / "nix/store/x/bin/App")
    with pytest.raises(FileNotFoundError):
        disk.at(b"/nix/store/x/bin/app")


@pytest.mark.parametrize(
    ("names", "written"),
    [
        pytest.param(
            [b"FOO", b"Foo", b"foo"],
            [b"FOO", b"Foo~nix~case~hack~1", b"foo~nix~case~hack~2"],
            id="the first keeps its name",
        ),
        pytest.param(
            ["e\u0301".encode(), "\u00e9".encode(), "\u00c9".encode()],
            [
                "e\u0301".encode(),
                "\u00e9~nix~case~hack~1".encode(),
                "\u00c9~nix~case~hack~2".encode(),
            ],
            id="an accent is written in two ways",
        ),
        pytest.param([b"\xff", b"\xfe"], [b"\xff", b"\xfe"], id="what is no UTF-8"),
    ],
)
def test_names_to_write_where_case_does_not_count(names: list[bytes], written: list[bytes]) -> None:
    new = NewNames(b"/top")
    assert new.place(b"/s", directory=True) == b"/top/s"
    found = [new.place(b"/s/" + name, directory=False) for name in names]
    assert found == [b"/top/s/" + name for name in written]


def test_what_is_in_a_directory_with_another_name(tmp_path: Path) -> None:
    new = NewNames(os.fsencode(tmp_path))
    for path in (b"/A", b"/a", b"/a/x"):
        os.mkdir(new.place(path, directory=True))
    assert sorted(names_in(os.fsencode(tmp_path), case_hack=True)) == [b"A", b"a"]
    assert os.listdir(os.fsencode(tmp_path) + b"/a~nix~case~hack~1") == [b"x"]


def test_a_name_that_stands_for_another_cannot_be_written(tmp_path: Path) -> None:
    new = NewNames(os.fsencode(tmp_path))
    new.place(b"/s", directory=True)
    with pytest.raises(StoreError, match="stand for others"):
        new.place(b"/s/" + MARKED, directory=False)


def test_case_counts_where_the_tests_run(tmp_path: Path) -> None:
    """Elsewhere than on Linux it may not: then there is one file, however it is asked for."""
    (tmp_path / "name").mkdir()
    assert folds_case(str(tmp_path / "name")) == os.path.lexists(tmp_path / "NAME")


def test_the_nar_of_the_nodes_differ(twice: Twice) -> None:
    """The fake would show nothing else."""
    assert nar(hacked(twice.node)) != nar(twice.node)
