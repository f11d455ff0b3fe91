"""Names that differ in case alone, where a file system takes them for one: Nix's case hack.

With its setting `use-case-hack`, by default on a Mac, Nix unpacks `Foo` and `foo` as `Foo` and
`foo~nix~case~hack~1`, and a NAR of them has the names without that (src/libutil/archive.cc). So
every name that is read from a store goes through here. One hard part is what is not there: asked
for `foo`, such a file system answers with `Foo`, so only what a directory lists counts. The other
is a store that was filled elsewhere: where nobody says whether it has the case hack (None), the
first name that looks like it is `CaseHackError`, and NAR hashes tell.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress

from msgspec import Struct, field

from nix2oci.errors import CaseHackError, StoreError
from nix2oci.text import display

CaseHack = bool | None
"""Whether names are as Nix writes them with the case hack; None where that is not known."""

MARK = b"~nix~case~hack~"
_MOST_KEPT = 1000


def folds_case(directory: str) -> bool:
    """Whether names that differ in case alone are one where a directory lies."""
    above, name = os.path.split(directory)
    return os.path.lexists(os.path.join(above, name.upper()))


def names_in(place: bytes, *, case_hack: CaseHack) -> dict[bytes, bytes]:
    """The names in the directory at `place`, in NAR order, each with its name on disk.

    Raises `StoreError` where two of them are the same, `CaseHackError` and `OSError`.
    """
    names: dict[bytes, bytes] = {}
    for on_disk in sorted(os.listdir(place)):
        name = name_of(on_disk, place, case_hack=case_hack)
        if name in names:
            raise StoreError(
                f"cannot read {display(place)}: it has {display(name)} twice, "
                f"also as {display(on_disk)}"
            )
        names[name] = on_disk
    return dict(sorted(names.items())) if case_hack else names


def name_of(on_disk: bytes, place: bytes, *, case_hack: CaseHack) -> bytes:
    """What a file is called, by its name in the directory at `place`. Raises `CaseHackError`."""
    if case_hack is False or MARK not in on_disk:
        return on_disk
    if case_hack is None:
        found = place + b"/" + on_disk
        raise CaseHackError(
            f"cannot read {display(found)}: a Mac's Nix may have given it that name, or not", found
        )
    return on_disk.partition(MARK)[0]


def has_mark(place: bytes) -> bool:
    """Whether something below a place has a name of the case hack."""
    directories = [place]
    for directory in directories:  # which grows: os.walk recurses to Python 3.11
        with suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                if MARK in entry.name:
                    return True
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.path)
    return False


class OnDisk(Struct, frozen=True):
    """Where the files of a store lie: those of `store_dir`/x at `root``store_dir`/x."""

    root: bytes
    store_dir: bytes
    case_hack: CaseHack
    _listed: dict[bytes, Mapping[bytes, bytes]] = field(default_factory=dict)

    def at(self, path: bytes) -> bytes:
        """Where an absolute path lies that has no links on its way; raises `OSError` as lstat."""
        if not self.case_hack:
            return self.root + path
        base, *below = path[len(self.store_dir) + 1 :].split(b"/")
        place = self.root + path[: len(self.store_dir) + 1] + base
        for name in below:
            on_disk = self._names(place).get(name)
            if on_disk is None:
                missing = os.fsdecode(place + b"/" + name)
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), missing)
            place += b"/" + on_disk
        return place

    def path_at(self, place: bytes) -> bytes:
        """The path that lies at a place, as `at` gives it."""
        path = place.removeprefix(self.root)
        if not self.case_hack:
            return path
        return b"/".join(name.partition(MARK)[0] for name in path.split(b"/"))

    def _names(self, place: bytes) -> Mapping[bytes, bytes]:
        if place not in self._listed:
            if len(self._listed) >= _MOST_KEPT:
                self._listed.clear()
            self._listed[place] = names_in(place, case_hack=True)
        return self._listed[place]


class NewNames:
    """Where the entries of one store object are written after another, with the case hack.

    More names than Nix does are taken for one: the file systems of a Mac do not tell accents
    that are written in two ways from each other.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._directories: dict[bytes, bytes] = {}
        self._taken: dict[bytes, dict[str, int]] = {}

    def place(self, path: bytes, *, directory: bool) -> bytes:
        """Where an entry goes, whose directory has been asked about; each once."""
        above, _, name = path.rpartition(b"/")
        if MARK in name:
            raise StoreError(
                f"cannot read {display(path)} here: names with {display(MARK)} stand for others",
                hint="TMPDIR may name a directory where case counts",
            )
        taken = self._taken.setdefault(above, {})
        number = taken[_folded(name)] = taken.get(_folded(name), -1) + 1
        on_disk = name + MARK + b"%d" % number if number else name
        place = self._directories.get(above, self._root + above) + b"/" + on_disk
        if directory:
            self._directories[path] = place
        return place


def _folded(name: bytes) -> str:
    import unicodedata  # noqa: PLC0415  # only where case does not count

    return unicodedata.normalize("NFD", name.decode("utf-8", "surrogateescape")).casefold()
