"""Store objects that changed, vanished or cannot be read: an error says which, or nothing is wrong.

What is never acceptable is an image of something else than Nix recorded.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.fakestore import FakeStore, Link, Node, Program, entries_of, sri, store_path, whole

from nix2oci.errors import RepresentationError, StoreError
from nix2oci.model.closure import PathInfo
from nix2oci.model.tree import Entry, File
from nix2oci.nix.nar import CHUNK
from nix2oci.nix.store import store_entries

NOBODY = 65534


def read(info: PathInfo, root: str) -> list[Entry]:
    return whole(store_entries(info, root))


def failure(info: PathInfo, root: str) -> StoreError:
    with pytest.raises(StoreError) as caught:
        read(info, root)
    return caught.value


def test_a_path_changed_in_place_is_told_with_both_hashes(store: FakeStore) -> None:
    info = store.add("app-1", {b"bin": {b"app": Program(b"good")}})
    store.thaw(info)
    with open(store.physical(info.path, b"/bin/app"), "wb") as file:
        file.write(b"evil")
    error = failure(info, store.root)
    assert str(error) == (
        f"cannot use {info.path}: its contents do not match the hash that Nix recorded: "
        f"expected {sri({b'bin': {b'app': Program(b'good')}})}, "
        f"got {sri({b'bin': {b'app': Program(b'evil')}})}"
    )
    assert error.hint == (
        f"the store is damaged; repair it with: nix-store --repair-path {info.path}"
    )
    assert error.exit_code == 4


@pytest.mark.parametrize(
    "become",
    [
        pytest.param({b"f": Program(b"x"), b"g": b""}, id="a file became executable"),
        pytest.param({b"f": b"x", b"g": b"", b"h": b""}, id="a file was added"),
        pytest.param({b"f": b"x"}, id="a file was removed"),
        pytest.param({b"f": b"x", b"G": b""}, id="a file was renamed"),
        pytest.param({b"f": b"x", b"g": Link(b"f")}, id="a file became a link"),
        pytest.param({b"f": b"x", b"g": {}}, id="a file became a directory"),
        pytest.param(b"x", id="a directory became a file"),
    ],
)
def test_any_change_of_what_a_nar_holds_is_found(store: FakeStore, become: Node) -> None:
    info = store.add("app-1", {b"f": b"x", b"g": b""})
    other = store.add("app-1", become, salt="changed")
    changed = replace(other, nar_hash=info.nar_hash, nar_size=info.nar_size)
    assert str(failure(changed, store.root)) == (
        f"cannot use {other.path}: its contents do not match the hash that Nix recorded: "
        f"expected {sri({b'f': b'x', b'g': b''})}, got {sri(become)}"
    )


def test_a_wrong_size_alone_is_a_mismatch(store: FakeStore) -> None:
    info = store.add("app-1", b"x")
    error = failure(replace(info, nar_size=info.nar_size + 8), store.root)
    assert str(error).startswith(f"cannot use {info.path}: its contents do not match the hash")


def test_a_path_that_vanished_is_told(store: FakeStore) -> None:
    info = replace(store.add("app-1", b""), path=store_path("gone-1"))
    error = failure(info, store.root)
    assert str(error) == f"cannot read {store.root}{info.path}: it is not in the store"
    assert error.hint == (
        "was it garbage-collected? build again, or check the store with: "
        "nix-store --verify --check-contents"
    )


def test_a_file_that_vanishes_while_its_directory_is_read_is_told(store: FakeStore) -> None:
    info = store.add("app-1", {b"a": b"", b"b": b""})
    store.thaw(info)
    entries = store_entries(info, store.root)
    assert [next(entries).path[-2:] for _ in range(2)] == [b"-1", b"/a"]
    os.unlink(store.physical(info.path, b"/b"))
    with pytest.raises(StoreError) as caught:
        next(entries)
    assert str(caught.value) == f"cannot read {store.root}{info.path}/b: it is not in the store"


def test_a_file_truncated_while_it_is_read_is_told(store: FakeStore) -> None:
    info = store.add("app-1", {b"big": bytes(2 * CHUNK)})
    store.thaw(info)
    entries = store_entries(info, store.root)
    next(entries)
    big = next(entries)
    assert isinstance(big, File)
    chunks = iter(big.chunks)
    next(chunks)
    os.truncate(store.physical(info.path, b"/big"), CHUNK + 5)
    with pytest.raises(StoreError) as caught:
        list(chunks)
    assert str(caught.value) == f"cannot use {info.path}/big: it changed while it was read"


def test_a_file_that_grows_while_it_is_read_gives_what_nix_recorded(store: FakeStore) -> None:
    info = store.add("app-1", {b"big": b"a" * 2 * CHUNK})
    store.thaw(info)
    entries = store_entries(info, store.root)
    next(entries)
    big = next(entries)
    assert isinstance(big, File)
    with open(store.physical(info.path, b"/big"), "ab") as file:
        file.write(b"more")
    assert b"".join(big.chunks) == b"a" * 2 * CHUNK
    assert list(entries) == []


def test_a_file_rewritten_while_it_is_read_is_a_mismatch(store: FakeStore) -> None:
    info = store.add("app-1", {b"big": b"a" * 2 * CHUNK})
    store.thaw(info)
    entries = store_entries(info, store.root)
    next(entries)
    big = next(entries)
    assert isinstance(big, File)
    chunks = iter(big.chunks)
    next(chunks)
    with open(store.physical(info.path, b"/big"), "r+b") as file:
        file.write(b"b" * 2 * CHUNK)
    assert list(chunks) == [b"b" * CHUNK]
    with pytest.raises(StoreError) as caught:
        next(entries)
    assert sri({b"big": b"a" * CHUNK + b"b" * CHUNK}) in str(caught.value)


def test_chunks_that_nobody_read_are_not_taken_for_checked(store: FakeStore) -> None:
    info = store.add("app-1", {b"big": bytes(2 * CHUNK)})
    with pytest.raises(StoreError, match="do not match the hash that Nix recorded"):
        list(store_entries(info, store.root))


@pytest.fixture
def nobody() -> Iterator[FakeStore]:
    """A store that is read as somebody who is not root."""
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        yield FakeStore(Path(top))


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("node", "unreadable"),
    [
        pytest.param({b"bin": {b"app": b""}}, b"/bin/app", id="a file"),
        pytest.param({b"bin": {b"app": b""}}, b"/bin", id="a directory"),
        pytest.param({b"bin": {}}, b"/bin", id="an empty directory"),
        pytest.param(b"", b"", id="the store path itself"),
    ],
)
def test_what_the_reader_may_not_read_is_named(
    nobody: FakeStore, node: Node, unreadable: bytes
) -> None:
    info = nobody.add("app-1", node)
    where = nobody.physical(info.path, unreadable)
    os.chmod(where, 0)
    with without_privileges():
        error = failure(info, nobody.root)
    os.chmod(where, 0o700)
    assert str(error) == f"cannot read {os.fsdecode(where)}: Permission denied"


def test_a_reader_who_is_not_root_reads_the_same(nobody: FakeStore) -> None:
    node: Node = {b"bin": {b"app": Program(b"x")}}
    info = nobody.add("app-1", node)
    with without_privileges():
        assert read(info, nobody.root) == entries_of(info, node)


def test_a_name_that_cannot_be_shown_is_escaped_in_an_error(nobody: FakeStore) -> None:
    info = nobody.add("app-1", {b"\xff\n": b""})
    os.chmod(nobody.physical(info.path, b"/\xff\n"), 0)
    with without_privileges():
        error = failure(info, nobody.root)
    assert str(error) == f"cannot read {nobody.root}{info.path}/\\xff\\n: Permission denied"


@pytest.mark.parametrize(
    ("node", "path"),
    [
        pytest.param({b".wh.x": b""}, "/.wh.x", id="a file"),
        pytest.param({b".wh..wh..opq": b""}, "/.wh..wh..opq", id="the opaque marker"),
        pytest.param({b".wh.": b""}, "/.wh.", id="nothing behind it"),
        pytest.param({b".wh.d": {b"x": b""}}, "/.wh.d", id="a directory"),
        pytest.param({b".wh.l": Link(b"x")}, "/.wh.l", id="a link"),
        pytest.param({b"a": {b"b": {b".wh.\xff": b""}}}, "/a/b/.wh.\\xff", id="deep, odd bytes"),
        pytest.param({b".wh..wh.aufs": b"", b"z": b""}, "/.wh..wh.aufs", id="aufs's own"),
    ],
)
def test_names_that_mark_deletions_are_refused(store: FakeStore, node: Node, path: str) -> None:
    info = store.add("app-1", node)
    with pytest.raises(RepresentationError) as caught:
        read(info, store.root)
    assert str(caught.value) == (
        f"cannot put {info.path}{path} into a layer: names that start with '.wh.' mark deletions"
    )
    assert caught.value.exit_code == 5


def test_a_path_longer_than_linux_opens_is_refused(store: FakeStore) -> None:
    info = store.add("app-1", {})
    store.thaw(info)
    fd = os.open(store.physical(info.path), os.O_RDONLY)
    for _ in range(21):
        os.mkdir(b"d" * 200, dir_fd=fd)
        inner = os.open(b"d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    with pytest.raises(RepresentationError) as caught:
        read(info, store.root)
    assert str(caught.value).startswith(f"cannot put {store.root}{info.path}/ddd")
    assert str(caught.value).endswith("ddd into a layer: its name is too long")


@pytest.mark.timeout(20)
def test_a_fifo_is_refused_without_waiting_for_a_writer(store: FakeStore) -> None:
    info = store.add("app-1", {b"a": b""})
    store.thaw(info)
    os.mkfifo(store.physical(info.path, b"/fifo"))
    assert str(failure(info, store.root)) == (
        f"cannot use {info.path}/fifo: it is not a file, directory or link"
    )


def test_a_socket_is_refused(store: FakeStore) -> None:
    info = store.add("app-1", {})
    store.thaw(info)
    directory = os.open(store.physical(info.path), os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/proc/self/fd/{directory}/s")
    finally:
        os.close(directory)
    error = failure(info, store.root)
    assert str(error) == f"cannot read {store.root}{info.path}/s: No such device or address"


def test_a_device_is_refused(store: FakeStore) -> None:
    info = store.add("app-1", {})
    store.thaw(info)
    try:
        os.mknod(store.physical(info.path, b"/null"), 0o20666, os.makedev(1, 3))
        os.close(os.open(store.physical(info.path, b"/null"), os.O_RDONLY))
    except PermissionError:
        pytest.skip("making a device takes privileges")
    assert str(failure(info, store.root)) == (
        f"cannot use {info.path}/null: it is not a file, directory or link"
    )


def test_a_reader_that_stops_early_leaves_no_open_file(store: FakeStore) -> None:
    info = store.add("app-1", {b"big": bytes(2 * CHUNK)})
    before = len(os.listdir("/proc/self/fd"))
    entries = store_entries(info, store.root)
    next(entries)
    next(entries)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    entries.close()  # type: ignore[attr-defined]  # it is a generator
    assert len(os.listdir("/proc/self/fd")) == before
