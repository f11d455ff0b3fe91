"""Programs of a closure by name, and files that are read with their NAR hash."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fakestore import FakeStore, Link, Program

from nix2oci.errors import StoreError
from nix2oci.nix.store import LocalStore
from nix2oci.nix.tools import programs, read_file


def test_programs_are_those_of_bin_and_sbin_by_the_file_they_lead_to(tmp_path: Path) -> None:
    store = FakeStore(tmp_path)
    other = store.add("other", {b"bin": {b"tool": Program(b"tool")}})
    box = store.add(
        "box",
        {
            b"bin": {
                b"busybox": Program(b"box"),
                b"ls": Link(b"busybox"),
                b"sh": Link(b"/proc/self/exe"),
                b"text": b"no program",
                b".hidden": Program(),
                b"tool": Link(f"{other.path}/bin/tool".encode()),
                b"directory": {},
            },
            b"sbin": {b"ip": Link(b"../bin/busybox"), b"ls": Program(b"another")},
            b"lib": {b"x": Program()},
        },
        (other.path,),
    )
    at = f"{box.path}/bin/busybox".encode()
    assert programs(store.closure(box.path), store.root) == {
        b"busybox": at,
        b"ls": at,
        b"ip": at,
        b"tool": f"{other.path}/bin/tool".encode(),
    }


def test_programs_of_roots_alone_and_the_first_root_counts(tmp_path: Path) -> None:
    store = FakeStore(tmp_path)
    below = store.add("below", {b"bin": {b"inner": Program()}})
    one = store.add("one", {b"bin": {b"a": Program()}}, (below.path,))
    two = store.add("two", {b"bin": {b"a": Program(), b"b": Program()}})
    found = programs(store.closure(two.path, one.path), store.root)
    assert found == {b"a": f"{two.path}/bin/a".encode(), b"b": f"{two.path}/bin/b".encode()}


def test_a_root_without_programs(tmp_path: Path) -> None:
    store = FakeStore(tmp_path)
    file = store.add("file", b"text")
    directory = store.add("directory", {b"bin": b"a file"})
    assert programs(store.closure(file.path, directory.path), store.root) == {}


def test_a_file_is_read(tmp_path: Path) -> None:
    store = FakeStore(tmp_path)
    large = bytes(range(256)) * 5000
    box = store.add("box", {b"a": b"1", b"bin": {b"busybox": Program(large)}, b"z": b"2"})
    path = f"{box.path}/bin/busybox".encode()
    assert read_file(store.closure(box.path), path, LocalStore(store.root)) == large


def test_a_store_path_that_was_changed_is_not_believed(tmp_path: Path) -> None:
    """Another file of the store path: what is read is right, and part of what is wrong."""
    store = FakeStore(tmp_path)
    box = store.add("box", {b"bin": {b"busybox": Program(b"x")}, b"z": b"before"})
    store.thaw(box)
    (tmp_path / str(box.path)[1:] / "z").write_bytes(b"after!")
    with pytest.raises(StoreError) as caught:
        read_file(
            store.closure(box.path), f"{box.path}/bin/busybox".encode(), LocalStore(store.root)
        )
    assert f"cannot use {box.path}: its contents do not match" in str(caught.value)
