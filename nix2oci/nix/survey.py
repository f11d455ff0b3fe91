"""What the store objects of a closure have that a root can show: programs, etc/, certificates.

A few known directories of each store path are looked at, none is walked.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.closure_contents import (
    DEFAULT_PRIORITY,
    PROGRAM_DIRECTORIES,
    ClosureContents,
    FoundFile,
    LeftOut,
    Reason,
)
from nix2oci.nix.case_hack import CaseHack
from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.places import Enter, by_bytes, nowhere, places_of
from nix2oci.nix.store_files import Fetch, StoreFiles, is_there, unreadable

# The dynamic loaders of glibc and musl: glibc's sysdeps/*/shlib-versions, musl's configure.
_LOADER = re.compile(rb"(ld-linux(-[\w-]+)?|ld64|ld-musl-[\w-]+)\.so\.[0-9]+")
_TRIPLET = re.compile(rb"\w+-(\w+-)?linux-\w+")

_LOCALES = (b"lib/locale", b"usr/lib/locale")
_ARCHIVE = b"locale-archive"

# In each list the first name that is there counts.
_BUNDLES = (b"etc/ssl/certs/ca-bundle.crt", b"etc/ssl/certs/ca-certificates.crt")
_SHELLS = (b"bin/sh", b"bin/dash", b"bin/bash", b"bin/busybox")


def survey(
    closure: Closure,
    physical_root: str = "",
    facts_known: FactCache | None = None,
    fetch: Fetch = is_there,
    *,
    enter: Enter = nowhere,
    priorities: Mapping[StorePath, int] | None = None,
    case_hack: CaseHack = False,
) -> ClosureContents:
    """Look at the files of a closure; those of /nix/store/x lie at `physical_root`/nix/store/x.

    What `facts_known` know of a file's bytes is not read again. `enter` says of which directories
    the root needs what is in them, in whatever output they are. `priorities` are those of roots.

    Where several store paths have a thing of which the view needs one, a root is preferred, the
    one of lower priority first, then the first in the order of store paths. A program is an
    executable file in bin/, sbin/ or these below usr/ of a root, or
    a link to one that lies in the closure; hidden names (a wrapper's `.app-wrapped`), other files
    and links that lead nowhere are left out. Elsewhere a link that leads nowhere counts: it may
    mean a path of the image, such as /etc/localtime.
    Raises `StoreError` where a store path is missing or unreadable.
    """
    ranks = priorities or {}
    files = StoreFiles.of(closure, physical_root, facts_known, fetch, case_hack=case_hack)
    rest = sorted(set(closure).difference(closure.roots))
    try:
        named = [
            _Place.of(files, path, ranks.get(path, DEFAULT_PRIORITY)) for path in closure.roots
        ]
        named.sort(key=lambda place: (place.priority, place.path))
        return _survey(named, [*named, *(_Place.of(files, path) for path in rest)], enter)
    except OSError as err:
        raise unreadable(err) from err


def _survey(named: list[_Place], places: list[_Place], enter: Enter) -> ClosureContents:
    programs = [program for place in named for program in place.programs()]
    counts = Counter([b"sh", *(program.name for program in programs)])
    files = named[0].files
    locales = _locales(named, places)
    shown, left = places_of(files, [place.top() for place in named], enter)
    found = ClosureContents(
        store_dir=named[0].path.store_dir,
        programs=tuple(by_bytes(files, p) if counts[p.name] > 1 else p for p in programs),
        places=tuple(shown),
        loaders=tuple(_loaders(places)),
        ca_bundle=_first(places, _BUNDLES),
        zoneinfo=next(filter(None, (place.zoneinfo() for place in places)), None),
        services=_first(places, (b"etc/services",)),
        protocols=_first(places, (b"etc/protocols",)),
        mime_types=_first(places, (b"etc/mime.types",)),
        shell=_first(places, _SHELLS, stat.S_IXUSR),
        locales=locales.directory if locales else None,
        locale_archive=locales.archive if locales else None,
    )
    return replace(found, left_out=tuple(_left_out(found, left)))


def _left_out(
    found: ClosureContents, left: Mapping[StorePath, Mapping[bytes, Reason]]
) -> Iterator[LeftOut]:
    """In the order of roots; what is shown of an output says whether it is a package."""
    whole = (
        found.zoneinfo,
        found.locales,
        found.ca_bundle,
        found.services,
        found.protocols,
        found.mime_types,
    )
    of_package = {each.owner for each in (*found.programs, *found.loaders, *whole) if each}
    of_package |= {each.owner for each in found.places if each.name.startswith(b"etc/")}
    more = {each.owner for each in found.places if each.name.partition(b"/")[0] != b"etc"}
    for owner, names in left.items():
        yield LeftOut(owner, names, owner in of_package and owner not in more)


class _Locales(Struct, frozen=True):
    """A directory of glibc's locales (locale(7)), and whether all are for the language C."""

    directory: FoundFile
    archive: FoundFile | None
    of_c: bool


class _Place(Struct, frozen=True):
    """One store path: its text, the directory that it is or leads to, and the names in that."""

    files: StoreFiles
    path: StorePath
    text: bytes
    real: bytes
    names: frozenset[bytes]
    priority: int = DEFAULT_PRIORITY

    @classmethod
    def of(cls, files: StoreFiles, path: StorePath, priority: int = DEFAULT_PRIORITY) -> _Place:
        text = str(path).encode()
        os.lstat(files.at(text))  # a store path that is gone is an error, not an empty one
        real, mode = files.follow(b"", text)
        names = frozenset(files.names(real)) if stat.S_ISDIR(mode) else frozenset[bytes]()
        return cls(files, path, text, real, names, priority)

    def look(self, name: bytes) -> tuple[bytes, int]:
        """Where a name below the store path leads, and its mode, 0 for nothing."""
        if name.partition(b"/")[0] not in self.names:
            return name, 0
        return self.files.follow(self.real, name)

    def found(self, name: bytes, real: bytes) -> FoundFile:
        last = name.rpartition(b"/")[2]
        target = self.text + b"/" + name
        return FoundFile(last, target, self.path, real, priority=self.priority)

    def top(self) -> FoundFile:
        """The output itself, as what is at the root."""
        is_directory, rank = bool(self.names), self.priority
        return FoundFile(b"", self.text, self.path, self.real, is_directory, rank)

    def programs(self) -> Iterator[FoundFile]:
        seen = set()
        for where in PROGRAM_DIRECTORIES:
            directory, mode = self.look(where)
            if stat.S_ISDIR(mode) and directory not in seen:
                seen.add(directory)
                yield from self._programs_in(where, directory)

    def _programs_in(self, where: bytes, directory: bytes) -> Iterator[FoundFile]:
        for name in self.files.names(directory):
            real, mode = self.files.follow(directory, name)
            if not name.startswith(b".") and stat.S_ISREG(mode) and mode & stat.S_IXUSR:
                yield self.found(where + b"/" + name, real)

    def zoneinfo(self) -> FoundFile | None:
        """The time zones; a directory of that name without UTC in it is something else."""
        real, mode = self.look(b"share/zoneinfo")
        is_there = stat.S_ISDIR(mode) and stat.S_ISREG(self.files.follow(real, b"UTC")[1])
        return self.found(b"share/zoneinfo", real) if is_there else None

    def locales(self) -> _Locales | None:
        """The first directory that has any."""
        for where in _LOCALES:
            real, mode = self.look(where)
            names = self.files.names(real) if stat.S_ISDIR(mode) else []
            archive = self._regular(where, real, _ARCHIVE) if _ARCHIVE in names else None
            known = [name for name in names if self._regular(where, real, name + b"/LC_CTYPE")]
            if archive or known:
                of_c = not archive and all(name.startswith(b"C.") for name in known)
                return _Locales(self.found(where, real), archive, of_c)
        return None

    def _regular(self, where: bytes, directory: bytes, name: bytes) -> FoundFile | None:
        real, mode = self.files.follow(directory, name)
        return self.found(where + b"/" + name, real) if stat.S_ISREG(mode) else None

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
                return by_bytes(place.files, place.found(name, real))
    return None


def _locales(named: Iterable[_Place], places: Iterable[_Place]) -> _Locales | None:
    """The locales of a named output, else of any path, but for the C.UTF-8 of the C library."""
    own = [found for place in named if (found := place.locales())]
    known = [*own, *(found for place in places if (found := place.locales()))]
    return next((found for found in known if not found.of_c), own[0] if own else None)


def _loaders(places: Iterable[_Place]) -> list[FoundFile]:
    """One loader for each name; lib/ of a place comes before its lib64/."""
    loaders: dict[bytes, FoundFile] = {}
    for place in places:
        for directory in (b"lib", b"lib64"):
            for loader in place.loaders(directory):
                loaders.setdefault(loader.name, loader)
    return list(loaders.values())
