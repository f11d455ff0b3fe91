"""What the store objects of a closure have that a view can show: programs, etc/, certificates.

A few known directories of each store path are looked at, none is walked.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import RepresentationError
from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.closure_contents import (
    ETC_DIRECTORIES,
    ETC_FILES,
    FURNITURE,
    OF_THE_ENGINE,
    ClosureContents,
    FoundFile,
    LeftOut,
    digest_content,
)
from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.store_files import Fetch, StoreFiles, is_there, unreadable

# The dynamic loaders of glibc and musl: glibc's sysdeps/*/shlib-versions, musl's configure.
_LOADER = re.compile(rb"(ld-linux(-[\w-]+)?|ld64|ld-musl-[\w-]+)\.so\.[0-9]+")
_TRIPLET = re.compile(rb"\w+-(\w+-)?linux-\w+")

_MOST_IN_ETC = 50_000
"""Paths in directories that several outputs have, after which there is no end in sight."""

# In each list the first name that is there counts.
_BUNDLES = (b"etc/ssl/certs/ca-bundle.crt", b"etc/ssl/certs/ca-certificates.crt")
_SHELLS = (b"bin/sh", b"bin/dash", b"bin/bash", b"bin/busybox")


def survey(
    closure: Closure,
    physical_root: str = "",
    facts_known: FactCache | None = None,
    fetch: Fetch = is_there,
    enter: frozenset[bytes] = frozenset(),
) -> ClosureContents:
    """Look at the files of a closure; those of /nix/store/x lie at `physical_root`/nix/store/x.

    What `facts_known` know of a file's bytes is not read again. `enter` are directories below etc/
    of which the view needs what is in them, in whatever output they are.

    Where several store paths have a thing of which the view needs one, a root is preferred, then
    the first in the order of store paths. A program is an executable file in bin/ of a root, or
    a link to one that lies in the closure; hidden names (a wrapper's `.app-wrapped`), other files
    and links that lead nowhere are left out. In etc/ a link that leads nowhere counts: it may
    mean a path of the image, such as /etc/localtime.
    Raises `StoreError` where a store path is missing or unreadable.
    """
    roots = sorted(closure.roots)
    files = StoreFiles.of(closure, physical_root, facts_known, fetch)
    rest = sorted(set(closure).difference(roots))
    try:
        named = [_Place.of(files, path) for path in roots]
        return _survey(named, [*named, *(_Place.of(files, path) for path in rest)], enter)
    except OSError as err:
        raise unreadable(err) from err


def _survey(named: list[_Place], places: list[_Place], enter: frozenset[bytes]) -> ClosureContents:
    programs = [program for place in named for program in place.programs()]
    counts = Counter([b"sh", *(program.name for program in programs)])
    files = named[0].files
    return ClosureContents(
        store_dir=named[0].path.store_dir,
        programs=tuple(_by_bytes(files, p) if counts[p.name] > 1 else p for p in programs),
        etc=tuple(_etc(named, ETC_DIRECTORIES | enter)),
        loaders=tuple(_loaders(places)),
        ca_bundle=_first(places, _BUNDLES),
        zoneinfo=next(filter(None, (place.zoneinfo() for place in places)), None),
        services=_first(places, (b"etc/services",)),
        protocols=_first(places, (b"etc/protocols",)),
        mime_types=_first(places, (b"etc/mime.types",)),
        shell=_first(places, _SHELLS, stat.S_IXUSR),
        left_out=tuple(found for place in named if (found := place.left_out())),
    )


class _Place(Struct, frozen=True):
    """One store path: its text, the directory that it is or leads to, and the names in that."""

    files: StoreFiles
    path: StorePath
    text: bytes
    real: bytes
    names: frozenset[bytes]

    @classmethod
    def of(cls, files: StoreFiles, path: StorePath) -> _Place:
        text = str(path).encode()
        os.lstat(files.at(text))  # a store path that is gone is an error, not an empty one
        real, mode = files.follow(b"", text)
        names = frozenset(files.names(real)) if stat.S_ISDIR(mode) else frozenset[bytes]()
        return cls(files, path, text, real, names)

    def look(self, name: bytes) -> tuple[bytes, int]:
        """Where a name below the store path leads, and its mode, 0 for nothing."""
        if name.partition(b"/")[0] not in self.names:
            return name, 0
        return self.files.follow(self.real, name)

    def found(self, name: bytes, real: bytes) -> FoundFile:
        return FoundFile(name.rpartition(b"/")[2], self.text + b"/" + name, self.path, real)

    def programs(self) -> Iterator[FoundFile]:
        directory, mode = self.look(b"bin")
        for name in self.files.names(directory) if stat.S_ISDIR(mode) else ():
            real, mode = self.files.follow(directory, name)
            if not name.startswith(b".") and stat.S_ISREG(mode) and mode & stat.S_IXUSR:
                yield self.found(b"bin/" + name, real)

    def left_out(self) -> LeftOut | None:
        """What lies beside bin/ and etc/, or is in etc/ and the engine's."""
        names = sorted(self.names - FURNITURE)
        if self.look(b"sbin")[0] == self.look(b"bin")[0]:
            names = [name for name in names if name != b"sbin"]
        etc, mode = self.look(b"etc")
        there = self.files.names(etc) if stat.S_ISDIR(mode) else ()
        of_the_engine = tuple(b"etc/" + name for name in there if name in OF_THE_ENGINE)
        if not names and not of_the_engine:
            return None
        return LeftOut(self.path, tuple(names), of_the_engine)

    def zoneinfo(self) -> FoundFile | None:
        """The time zones; a directory of that name without UTC in it is something else."""
        real, mode = self.look(b"share/zoneinfo")
        is_there = stat.S_ISDIR(mode) and stat.S_ISREG(self.files.follow(real, b"UTC")[1])
        return self.found(b"share/zoneinfo", real) if is_there else None

    def loaders(self, directory: bytes) -> Iterator[FoundFile]:
        """The loaders in a directory and, as Debian has it, in <triplet>/ below it."""
        where, mode = self.look(directory)
        for name in self.files.names(where) if stat.S_ISDIR(mode) else ():
            if _LOADER.fullmatch(name):
                real, mode = self.files.follow(where, name)
                if stat.S_ISREG(mode):
                    yield self.found(directory + b"/" + name, real)
            elif b"/" not in directory and _TRIPLET.fullmatch(name):
                yield from self.loaders(directory + b"/" + name)


def _first(places: Iterable[_Place], names: Iterable[bytes], bits: int = 0) -> FoundFile | None:
    """The first regular file of these names that has the mode's bits."""
    for place in places:
        for name in names:
            real, mode = place.look(name)
            if stat.S_ISREG(mode) and mode & bits == bits:
                return _by_bytes(place.files, place.found(name, real))
    return None


def _loaders(places: Iterable[_Place]) -> list[FoundFile]:
    """One loader for each name; lib/ of a place comes before its lib64/."""
    loaders: dict[bytes, FoundFile] = {}
    for place in places:
        for directory in (b"lib", b"lib64"):
            for loader in place.loaders(directory):
                loaders.setdefault(loader.name, loader)
    return list(loaders.values())


class _Etc(Struct, frozen=True):
    """Something in etc/ of a root: as the view sees it, and the real directories above it."""

    files: StoreFiles
    found: FoundFile
    is_file: bool = False
    above: tuple[bytes, ...] = ()

    def children(self) -> Iterator[_Etc]:
        """What is in it. A link to a directory above is not a directory: it has no end."""
        where, prefix = self.found.content, self.found.name + b"/" if self.found.name else b""
        above = (*self.above, where)
        for name in self.files.names(where):
            real, mode = self.files.follow(where, name)
            found = FoundFile(
                prefix + name,
                self.found.target + b"/" + name,
                self.found.owner,
                real if mode else self._link(where, name),
                stat.S_ISDIR(mode) and real not in above,
            )
            yield _Etc(self.files, found, stat.S_ISREG(mode), above)

    def _link(self, where: bytes, name: bytes) -> bytes:
        """The content of a link that leads out of the closure: what it says, made absolute."""
        target = os.readlink(self.files.at(where + b"/" + name))
        return b"link to " + os.path.join(where, target)


def _etc(named: Iterable[_Place], enter: frozenset[bytes]) -> Iterator[FoundFile]:
    """Level by level; only directories that the view may have to merge are entered.

    Two links on each level, to the same directory, are twice as many paths with every level.
    """
    level = list(_etc_of(named))
    left = _MOST_IN_ETC
    while level:
        found = chain.from_iterable(directory.children() for directory in level)
        children = (child for child in found if child.found.name not in OF_THE_ENGINE)
        below = list(islice(children, left + 1))
        left -= len(below)
        if left < 0:
            raise RepresentationError(
                f"cannot merge what the outputs have in etc/: it is more than {_MOST_IN_ETC} paths",
                hint="links in there lead to directories with links, or the image can do without: "
                "--view no-etc",
            )
        counts = Counter(child.found.name for child in below)
        shared = {name for name, count in counts.items() if count > 1}
        for child in below:
            may_clash = child.found.name in shared or child.found.name in ETC_FILES
            by_bytes = may_clash and child.is_file
            yield _by_bytes(child.files, child.found) if by_bytes else child.found
        level = [c for c in below if c.found.directory and c.found.name in shared | enter]


def _etc_of(named: Iterable[_Place]) -> Iterator[_Etc]:
    for place in named:
        real, mode = place.look(b"etc")
        if stat.S_ISDIR(mode):
            top = FoundFile(b"", place.text + b"/etc", place.path, real, directory=True)
            yield _Etc(place.files, top)


def _by_bytes(files: StoreFiles, found: FoundFile) -> FoundFile:
    """The same file, its content known by its bytes instead of by where it lies."""

    def digest() -> str:
        with open(files.content(found.content), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    known = files.get_or_compute(found.content, "sha256", digest)
    return replace(found, content=digest_content(bytes.fromhex(known)))
