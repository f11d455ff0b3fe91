"""Store objects on disk, as entries of an image, checked against Nix's own record in the same read.

A store path's NAR is its one canonical serialisation: type, executable bit, content, link target,
names in bytewise order (Nix manual, "Nix Archive format"). Tar is written in the same order, so one
walk feeds both. The hard part is trust: `nix build` succeeds on a path that was changed in place or
is gone (NixOS/nix#14599, #6757), so nothing that was read counts until its NAR hash is right.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from nix2oci.errors import CaseHackError, RepresentationError, StoreError
from nix2oci.model.closure import Closure, PathInfo, StorePath, format_nar_hash
from nix2oci.model.tree import Content, Directory, Entry, File, Symlink, check_name, parents
from nix2oci.nix.case_hack import CaseHack, has_mark, names_in
from nix2oci.nix.nar import (
    CHUNK,
    CLOSE,
    CONTENTS,
    DIRECTORY,
    ENTRY,
    ENTRY_NODE,
    EXECUTABLE,
    MAGIC,
    NODE,
    PADDING,
    REGULAR,
    SYMLINK,
    NarHash,
    string,
)
from nix2oci.nix.store_files import unreadable
from nix2oci.text import display

_FILE = NODE + REGULAR + CONTENTS
_PROGRAM = NODE + REGULAR + EXECUTABLE + CONTENTS

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def store_entries(
    info: PathInfo, physical_root: str = "", *, case_hack: CaseHack = False
) -> Iterator[Entry]:
    """Every entry of one store object, the store path itself first, in NAR order.

    Paths are logical and relative (`nix/store/…`); the bytes are read at `physical_root` + path,
    with `case_hack` by the names that Nix writes with its setting `use-case-hack`.
    A file's chunks must be used up before the next entry is asked for. The end is reached only
    when the NAR hash and size of what was read are those of `info`.

    Raises `StoreError` where the object is gone, unreadable or not what Nix recorded, and
    `RepresentationError` for a name that no layer can carry.
    """
    nar = NarHash()
    logical = os.fsencode(str(info.path))
    try:
        nar.raw(MAGIC)
        yield from _walk(info, physical_root, case_hack, nar)
    except OSError as err:
        raise _unreadable(info.path, err) from err
    digest, size = nar.end()
    if (digest, size) != (info.nar_hash, info.nar_size):
        raise StoreError(
            f"cannot use {info.path}: its contents do not match the hash that Nix recorded: "
            f"expected {format_nar_hash(info.nar_hash)}, got {format_nar_hash(digest)}",
            hint="its names are as a Mac writes them, which the setting says: "
            "--option use-case-hack true"
            if case_hack is False and has_mark(os.fsencode(physical_root) + logical)
            else f"the store is damaged; repair it with: nix-store --repair-path {info.path}",
        )


def has_case_hack(info: PathInfo, physical_root: str) -> bool:
    """Whether an object is what Nix recorded with names of the case hack, or else as they are.

    Raises what `store_entries` does of an object that is neither.
    """
    try:
        _read(store_entries(info, physical_root, case_hack=True))
    except StoreError:
        _read(store_entries(info, physical_root))
        return False
    return True


def _read(entries: Iterable[Entry]) -> None:
    """To the end, where the hash is checked."""
    for entry in entries:
        if isinstance(entry, File):
            for _ in entry.chunks:
                pass


class Store(Protocol):
    """Where the bytes of a closure come from."""

    @property
    def root(self) -> str:
        """The directory to look at its files in: those of /nix/store/x at `root`/nix/store/x."""

    @property
    def case_hack(self) -> CaseHack:
        """Whether their names are as `nix.case_hack` has them."""

    def fetch(self, path: bytes) -> None:
        """See to it that a file below `root` has its content; `path` is absolute, without links."""

    def entries(self, info: PathInfo) -> Iterator[Entry]:
        """As `store_entries`."""

    def is_right(self, info: PathInfo) -> bool:
        """Whether a store object can be read and is what Nix recorded."""


class Sender(Protocol):
    """Another store, that sends what is asked for: with Nix, or a binary cache without.

    Methods raise `StoreError` for what it does not have, or has otherwise than was recorded or
    signed, and what goes wrong with Nix or with the network. As text it is its name.
    """

    def closure(self, roots: Sequence[StorePath]) -> Closure:
        """What store paths refer to, as it has them; those that nobody signed are an error."""

    def nar(self, info: PathInfo, scratch: str, /, *, again: bool) -> Generator[bytes]:
        """The NAR of a store path, in pieces; it is on its way when the first, empty one came.

        `again`: it will be asked for another time; until then it may be kept in the directory
        `scratch`.
        """


def not_there(path: object, store: object) -> StoreError:
    """The error for a store path that another store does not have."""
    return StoreError(
        f"cannot read {path}: it is not in {store}",
        hint=f"copy it there from where it was built: nix copy --to '{store}' {path}",
    )


class LocalStore(Struct, frozen=True):
    """A store in a file system of this machine: all there is is there."""

    root: str = ""
    case_hack: CaseHack = False

    def fetch(self, path: bytes) -> None:
        """Nothing is to be done."""

    def entries(self, info: PathInfo) -> Iterator[Entry]:
        return store_entries(info, self.root, case_hack=self.case_hack)

    def is_right(self, info: PathInfo) -> bool:
        """Whether a store object can be read and is what Nix recorded; reads all of it."""
        try:
            _read(self.entries(info))
        except (StoreError, RepresentationError):
            return False
        return True


def store_layer(infos: Iterable[PathInfo], store: Store) -> Iterator[Entry]:
    """The entries of a layer of store objects, which is a function of those alone.

    `nix/` and `nix/store/` come first in each, alike and writable for their owner, since some
    unpackers make what is missing unreadable (nix2container#12) and cannot write into 0555.
    Without objects there is nothing. Raises what `store_entries` raises.
    """
    objects = sorted(infos, key=lambda info: info.path.base)
    for store_dir in {info.path.store_dir[1:].encode() for info in objects}:
        for directory in reversed([store_dir, *parents(store_dir)]):
            yield Directory(directory, 0o755)
    for info in objects:
        yield from store.entries(info)


class _Content(Content):
    """The bytes of an open file, each of which counts for the NAR hash when it is read."""

    def __init__(self, nar: NarHash, name: bytes, fd: int, size: int) -> None:
        self._nar, self._name, self._fd, self._left = nar, name, fd, size

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            data = os.read(self._fd, min(self._left, CHUNK))
            self._count(data)
            yield data

    def read_into(self, memory: memoryview) -> None:
        while memory:
            read = memory[: os.readv(self._fd, (memory[:CHUNK],))]
            self._count(read)
            memory = memory[len(read) :]

    def _count(self, data: bytes | memoryview) -> None:
        if not data:
            raise _changed(self._name)
        self._left -= len(data)
        self._nar.at_once(data)


def _walk(info: PathInfo, physical_root: str, case_hack: CaseHack, nar: NarHash) -> Iterator[Entry]:
    """Depth first over one store object; NAR and entries come from the same read.

    Without recursion, which ends at a depth of 1,000: Nix 2.34 has 64 directories in each other at
    most, older ones as many as fit into a path.
    """
    top = os.fsencode(str(info.path))
    levels = [iter([(top, os.fsencode(physical_root) + top, b"")])]  # what is left in each
    while levels:
        after = CLOSE if len(levels) > 1 else b""
        for path, place, before in levels[-1]:
            try:
                fd = os.open(place, _OPEN)
            except OSError as err:
                target = _target(place, err)
                nar.raw(before + NODE + SYMLINK + string(target) + CLOSE + after)
                yield Symlink(path[1:], target)
                continue
            try:
                status = os.fstat(fd)
                kind = status.st_mode & 0o170000
                if kind == 0o100000:
                    yield _file(path[1:], fd, status, nar, before)
                    nar.raw(PADDING[: -status.st_size % 8] + CLOSE + after)
                    continue
            finally:
                os.close(fd)
            if kind != 0o040000:
                raise StoreError(f"cannot use {display(path)}: it is not a file, directory or link")
            nar.raw(before + NODE + DIRECTORY)
            yield Directory(path[1:])
            try:
                names = names_in(place, case_hack=case_hack)
            except CaseHackError:
                case_hack = has_case_hack(info, physical_root)
                names = names_in(place, case_hack=case_hack)
            levels.append(_children(path, place, names))
            break
        else:
            levels.pop()
            if levels:
                nar.raw(CLOSE + (CLOSE if len(levels) > 1 else b""))


def _children(
    path: bytes, place: bytes, names: Mapping[bytes, bytes]
) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Path and place of what is in a directory, with what the NAR has in front of each."""
    for name, on_disk in names.items():
        child = path + b"/" + name
        check_name(child[1:])
        yield child, place + b"/" + on_disk, ENTRY + string(name) + ENTRY_NODE


def _file(name: bytes, fd: int, status: os.stat_result, nar: NarHash, before: bytes) -> File:
    """A file, whose content is read already where it is small."""
    size, executable = status.st_size, status.st_mode & 0o100
    start = (_PROGRAM if executable else _FILE) + size.to_bytes(8, "little")
    mode = 0o555 if executable else 0o444
    nar.raw(before + start)
    if size > CHUNK:
        return File(name, size, _Content(nar, name, fd, size), mode)
    data = os.read(fd, size)
    while len(data) < size:
        more = os.read(fd, size - len(data))
        if not more:
            raise _changed(name)
        data += more
    nar.raw(data)
    return File(name, size, (data,) if data else (), mode)


def _target(physical: bytes, err: OSError) -> bytes:
    """Where a link leads that could not be opened; raises `err` where it is none."""
    if not os.path.islink(physical):
        raise err
    try:
        return os.readlink(physical)
    except OSError:
        raise err from None


def _changed(name: bytes) -> StoreError:
    return StoreError(f"cannot use /{display(name)}: it changed while it was read")


def _unreadable(path: StorePath, err: OSError) -> StoreError | RepresentationError:
    if err.errno == errno.ENAMETOOLONG:
        where = display(os.fsencode(err.filename)) if err.filename else str(path)
        return RepresentationError(f"cannot put {where} into a layer: its name is too long")
    return unreadable(err, str(path))
