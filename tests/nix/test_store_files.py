"""Links of the store are followed by their text, and never out of the closure."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from support.fakestore import FakeStore, Link, Program, store_path

from nix2oci.nix.store_files import StoreFiles, unreadable

APP, LIB, GONE = (str(store_path(name)).encode() for name in ("app-1", "lib-1", "gone-1"))


@pytest.fixture
def disk(tmp_path: Path) -> StoreFiles:
    store = FakeStore(tmp_path)
    lib = store.add("lib-1", {b"bin": {b"x": Program()}, b"doc": b""})
    app = store.add(
        "app-1",
        {
            b"bin": Link(LIB + b"/bin"),
            b"circle": Link(b"circle"),
            b"climbs": Link(b"../../../etc"),
            b"outside": Link(b"/etc"),
            b"to-gone": Link(GONE + b"/bin"),
            b"relative": Link(b"../" + LIB.rpartition(b"/")[2] + b"/bin/x"),
        },
        [lib.path],
    )
    return StoreFiles.of(store.closure(app.path), store.root)


@pytest.mark.parametrize(
    ("path", "is_program", "directory"),
    [
        pytest.param(LIB, False, LIB, id="a store path"),
        pytest.param(LIB + b"/bin/x", True, None, id="a program"),
        pytest.param(LIB + b"/doc", False, None, id="a file that is not executable"),
        pytest.param(LIB + b"/doc/x", False, None, id="a file has nothing in it"),
        pytest.param(APP + b"/bin", False, LIB + b"/bin", id="a link to a directory"),
        pytest.param(APP + b"/bin/x", True, None, id="through a link to a directory"),
        pytest.param(APP + b"/relative", True, None, id="a relative link to another store path"),
        pytest.param(APP + b"/circle", False, None, id="a circle"),
        pytest.param(APP + b"/outside", False, None, id="a link out of the store"),
        pytest.param(APP + b"/climbs", False, None, id="a link that climbs out of the store"),
        pytest.param(APP + b"/to-gone", False, None, id="a link out of the closure"),
        pytest.param(b"/nix/store", False, b"/nix/store", id="the store directory"),
        pytest.param(b"/nix", False, None, id="what is above the store"),
        pytest.param(b"/bin/sh", False, None, id="the machine's"),
        pytest.param(b"", False, None, id="nothing"),
    ],
)
def test_a_path_leads_to_a_program_or_directory_of_the_closure_or_nowhere(
    path: bytes, *, is_program: bool, directory: bytes | None, disk: StoreFiles
) -> None:
    assert disk.is_program(path) == is_program
    assert disk.real_directory(path) == directory


def test_a_mode_is_that_of_the_name_itself(disk: StoreFiles) -> None:
    for directory, name, kind in (
        (APP, b"bin", stat.S_IFLNK),
        (LIB, b"bin", stat.S_IFDIR),
        (LIB + b"/bin", b"x", stat.S_IFREG),
        (LIB, b"no", 0),
        (b"/nix/store", GONE.rpartition(b"/")[2], 0),
    ):
        path, mode = disk.mode(directory, name)
        assert (path, stat.S_IFMT(mode)) == (directory + b"/" + name, kind)


def test_names_come_in_order(disk: StoreFiles) -> None:
    assert disk.names(LIB) == [b"bin", b"doc"]
    assert disk.at(LIB) == disk.disk.root + LIB


@pytest.mark.parametrize(
    ("error", "message", "has_hint"),
    [
        (
            FileNotFoundError(2, "No such file", b"/x"),
            "cannot read /x: it is not in the store",
            True,
        ),
        (
            PermissionError(13, "Permission denied", "/x"),
            "cannot read /x: Permission denied",
            False,
        ),
        (OSError(5, "Input/output error"), "cannot read the store: Input/output error", False),
    ],
)
def test_an_error_names_the_file(error: OSError, message: str, *, has_hint: bool) -> None:
    found = unreadable(error)
    assert (str(found), bool(found.hint)) == (message, has_hint)


def test_a_store_path_that_is_one_file_has_nothing_below_it(tmp_path: Path) -> None:
    store = FakeStore(tmp_path)
    conf = store.add("app.conf", b"option = 1\n")
    files = StoreFiles.of(store.closure(conf.path), store.root)
    top = str(conf.path).encode()
    assert files.follow(top, b"bin/init")[1] == 0
    assert files.mode(top, b"bin") == (top + b"/bin", 0)
