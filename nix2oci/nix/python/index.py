"""Which file a Python module is in: names of modules, as programs import them, to files.

Directories that Python searches are known by their
names; what lies elsewhere is found by what programs beside it import, wherever it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from nix2oci.nix.python.bindings import STANDARD
from nix2oci.nix.python.module import Import

_SITE = re.compile(rb"(.*?/(?:site|dist)-packages)/")
_STANDARD = re.compile(rb"(.*/lib/(?:python|pypy)3\.?\d*)/(?!(?:site|dist)-packages/)")


def is_standard(path: bytes) -> bool:
    """Whether a file is of a standard library, the directory of which has the version's name."""
    return _STANDARD.match(path) is not None


class Index(Struct, frozen=True):
    """The files of modules, less those of a standard library.

    `stems` are the last parts of all names. `sites` has those of directories that Python searches
    by their dotted names, `loose` all others by the first of them.
    """

    files: frozenset[bytes]
    stems: frozenset[str]
    sites: dict[str, list[bytes]]
    loose: dict[str, list[bytes]]

    @classmethod
    def of(cls, paths: Iterable[bytes]) -> Index:
        files = frozenset(path for path in paths if not is_standard(path))
        sites: dict[str, list[bytes]] = {}
        loose: dict[str, list[bytes]] = {}
        for path in sorted(files):
            found = _SITE.match(path)
            if found:
                sites.setdefault(dotted(path[found.end() :]), []).append(path)
            else:
                parts = dotted(path).split(".")
                loose.setdefault(parts[-1], []).append(path)
        stems = frozenset(name.rpartition(".")[2] for name in sites)
        return cls(files, stems | loose.keys(), sites, loose)

    def imported(self, path: bytes, each: Import) -> Iterator[bytes]:
        """The files that an import of the file at `path` runs."""
        if each.level:
            above = path.rsplit(b"/", each.level)[0]
            base = b"/".join([above, *map(str.encode, filter(None, each.module.split(".")))])
            yield from self._below(base, each.names)
        elif each.module.partition(".")[0] not in STANDARD or each.module in self.sites:
            yield from self._absolute(path, each)

    def _absolute(self, path: bytes, each: Import) -> Iterator[bytes]:
        parts = each.module.split(".")
        names = [".".join(parts[: n + 1]) for n in range(len(parts))]
        names += [f"{each.module}.{name}" for name in each.names]
        found = [file for name in names for file in self.sites.get(name, ())]
        yield from found
        if found:
            return
        beside = path.rpartition(b"/")[0]
        tops = self.loose.get(parts[0], ())
        own = [top for top in tops if _home(top) == beside]
        for top in own or tops:
            base = b"/".join([_home(top), *map(str.encode, parts)])
            yield top
            yield from self._below(base, each.names)

    def _below(self, base: bytes, names: Iterable[str]) -> Iterator[bytes]:
        """A module, and those of its names that are modules themselves."""
        for place in (base, *(base + b"/" + name.encode() for name in names)):
            for file in (place + b".py", place + b"/__init__.py"):
                if file in self.files:
                    yield file

    def package(self, path: bytes) -> Iterator[bytes]:
        """All files of the package that a file is of, the whole of it."""
        top = path.rpartition(b"/")[0]
        while top + b"/__init__.py" in self.files:
            path, top = top, top.rpartition(b"/")[0]
        if path + b"/__init__.py" in self.files:
            yield from (file for file in self.files if file.startswith(path + b"/"))

    def module(self, name: str) -> list[bytes]:
        """The files of a dotted name."""
        return self.sites.get(name, [])


def _home(path: bytes) -> bytes:
    """The directory that has a top-level module."""
    return path.removesuffix(b"/__init__.py").rpartition(b"/")[0]


def dotted(inside: bytes) -> str:
    """The name of a module by its path: `a/b/__init__.py` is `a.b`."""
    name = inside.decode("latin-1").removesuffix(".py").removesuffix("/__init__")
    return name.replace("/", ".")
