"""Where the bytes of store paths lie, and where their links lead.

The hard part is links: they are absolute in a store and the bytes may lie elsewhere
(`--store DIR`), so the kernel would follow them into the wrong store, or out of the closure into
the machine that builds. They are followed here instead, by the text of their targets, and no
further than the closure.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec import Struct

from nix2oci.errors import StoreError
from nix2oci.model.closure import Closure, PathInfo
from nix2oci.model.links import At, resolve
from nix2oci.nix.case_hack import CaseHack, OnDisk, names_in
from nix2oci.nix.fact_cache import FactCache, as_text
from nix2oci.text import display

T = TypeVar("T")

Fetch = Callable[[bytes], None]
"""See to it that the content of a file is where its name is (`store.Store.fetch`)."""


def is_there(path: bytes) -> None:
    """It always is, in a store of this machine."""


class StoreFiles(Struct, frozen=True):
    """Where the bytes of logical paths lie, and where their links lead."""

    disk: OnDisk
    store_dir: bytes
    owners: Mapping[bytes, PathInfo]
    """By the last part of the store path: `HASH-NAME`."""
    facts_known: FactCache
    fetch: Fetch

    @classmethod
    def of(
        cls,
        closure: Closure,
        physical_root: str = "",
        facts_known: FactCache | None = None,
        fetch: Fetch = is_there,
        *,
        case_hack: CaseHack = False,
    ) -> StoreFiles:
        """The store objects of a closure; those of /nix/store/x lie at `physical_root`/nix/store/x.

        With `case_hack` names are as Nix writes them with its setting `use-case-hack`.
        Every method raises `OSError` for what is there and cannot be read.
        """
        owners = {path.base.encode(): info for path, info in closure.infos.items()}
        store_dir = closure.store_dir.encode()
        disk = OnDisk(os.fsencode(physical_root), store_dir, case_hack)
        return cls(disk, store_dir, owners, facts_known or FactCache(), fetch)

    def get_or_compute(self, real: bytes, question: str, answer: Callable[[], T]) -> T:
        """What `answer` finds in the bytes at a path that has no links; known of an earlier run.

        Answers are JSON values.
        """
        info, asked = self._asked(real, question)
        return self.facts_known.get_or_compute(info, asked, answer)

    def is_known(self, real: bytes, question: str) -> bool:
        """Whether an earlier run knew."""
        info, asked = self._asked(real, question)
        return asked in self.facts_known.facts(info)

    def _asked(self, real: bytes, question: str) -> tuple[PathInfo, str]:
        base, _, inside = real[len(self.store_dir) + 1 :].partition(b"/")
        return self.owners[base], f"{question} {as_text(inside)}" if inside else question

    def at(self, path: bytes) -> bytes:
        """Where a path lies that has no links on its way."""
        return self.disk.at(path)

    def content(self, path: bytes) -> bytes:
        """Where to read the content of a file that has no links on its way."""
        self.fetch(path)
        return self.at(path)

    def names(self, path: bytes) -> list[bytes]:
        return list(names_in(self.at(path), case_hack=self.disk.case_hack))

    def follow(self, start: bytes, rest: bytes) -> tuple[bytes, int]:
        """Where `rest` leads from the directory `start`, all links followed, and its mode.

        The mode is 0 where nothing is there, where a link leaves the closure, and for a circle.
        """
        mode = 0

        def look(path: bytes) -> bytes | At:
            nonlocal mode
            mode = self._mode(path)
            return self._what(path, mode)

        found = resolve(rest, look, start)
        if not found.exists or not found.path.startswith(self.store_dir + b"/"):
            return found.path, 0
        return found.path, mode if found.at is At.FILE else stat.S_IFDIR

    def look(self, path: bytes) -> bytes | At:
        """What is at a path that has no links on its way, as `links.resolve` asks for it."""
        return self._what(path, self._mode(path))

    def _what(self, path: bytes, mode: int) -> bytes | At:
        if stat.S_ISLNK(mode):
            return os.readlink(self.at(path))
        if stat.S_ISDIR(mode):
            return At.DIRECTORY
        return At.FILE if mode else At.NOTHING

    def _mode(self, path: bytes) -> int:
        """The mode of a path that has no link before its last part; 0 where it does not count."""
        above = self.store_dir + b"/"
        if above.startswith(path + b"/"):
            return stat.S_IFDIR
        if path.removeprefix(above).partition(b"/")[0] not in self.owners:
            return 0
        try:
            return os.lstat(self.at(path)).st_mode
        except (FileNotFoundError, NotADirectoryError):  # the latter below a store path of one file
            return 0

    def mode(self, directory: bytes, name: bytes) -> tuple[bytes, int]:
        """The path of a name in a directory that has no links on its way, and its own mode.

        The mode is 0 where nothing is there.
        """
        path = directory + b"/" + name
        return path, self._mode(path)

    def is_program(self, path: bytes) -> bool:
        """Whether a path, all links followed within the closure, is an executable file."""
        _, mode = self.follow(b"", path)
        return stat.S_ISREG(mode) and bool(mode & stat.S_IXUSR)

    def real_directory(self, path: bytes) -> bytes | None:
        """The directory that a path leads to; None where there is none in the closure."""
        if path == self.store_dir:
            return path
        real, mode = self.follow(b"", path)
        return real if stat.S_ISDIR(mode) else None


def unreadable(err: OSError, otherwise: str = "the store") -> StoreError:
    """What the user is told of a file that is missing or cannot be read.

    `otherwise` is named where the error itself names no file.
    """
    where = display(os.fsencode(err.filename)) if err.filename else otherwise
    if isinstance(err, FileNotFoundError):
        return StoreError(
            f"cannot read {where}: it is not in the store",
            hint="was it garbage-collected? build again, or check the store with: "
            "nix-store --verify --check-contents",
        )
    return StoreError(f"cannot read {where}: {err.strerror}")
