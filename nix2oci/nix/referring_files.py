"""Which files of a store path name another one: where a reference that Nix recorded is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from nix2oci.model.closure import Closure, StorePath
from nix2oci.nix.case_hack import CaseHack, names_in
from nix2oci.nix.needles import find
from nix2oci.nix.store_files import unreadable


class Files(Struct, frozen=True):
    """The files of a closure's store paths; those of /nix/store/x lie at `root`/nix/store/x.

    `over` has, by absolute path, what an image has in the place of a file: its launchers.
    """

    closure: Closure
    root: str = ""
    over: Mapping[bytes, bytes] = field(default_factory=dict)
    case_hack: CaseHack = False
    """Whether names are as `nix.case_hack` has them."""

    def naming(self, reference: StorePath, owner: StorePath) -> tuple[bytes, ...]:
        """Paths within `owner` of what has the hash part of `reference` in it, sorted.

        It may be in a file, in the target of a link or in a name; `b""` is the store path itself.
        Raises `StoreError` where something cannot be read.
        """
        needle, top = reference.hash_part.encode(), str(owner).encode()
        try:
            found = [path[len(top) + 1 :] for path in self._search(top, needle)]
        except OSError as err:
            raise unreadable(err) from err
        return tuple(sorted(found))

    def _search(self, top: bytes, needle: bytes) -> Iterator[bytes]:
        waiting = [(top, os.fsencode(self.root) + top)]
        while waiting:
            path, at = waiting.pop()
            mode = os.lstat(at).st_mode
            if stat.S_ISDIR(mode):
                names = names_in(at, case_hack=self.case_hack).items()
                waiting += [(path + b"/" + name, at + b"/" + on_disk) for name, on_disk in names]
            inside = path[len(top) :].rpartition(b"/")[2]
            if needle in inside or self._holds(path, at, mode, needle):
                yield path

    def _holds(self, path: bytes, at: bytes, mode: int, needle: bytes) -> bool:
        if path in self.over:
            return needle in self.over[path]
        if stat.S_ISLNK(mode):
            return needle in os.readlink(at)
        return stat.S_ISREG(mode) and _in_file(at, needle)


def _in_file(at: bytes, needle: bytes) -> bool:
    fd = os.open(at, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return bool(find(fd, [needle]))
    finally:
        os.close(fd)
