"""The NAR hash of store paths, computed from the entries of a tar as they stream by.

Our layers list each store path depth first in bytewise order of names, which is the order of a NAR
(Nix manual, "Nix Archive format"), so nothing has to be kept. `nix/store.py` makes the same format
from files; this is a second hand on purpose, as it judges what the first one led to.
"""

from __future__ import annotations

import hashlib

from nix2oci.oci.layer.untar import DIRECTORY, FILE, HARDLINK, SYMLINK


class NarOrderError(Exception):
    """The entries of a store path are not those of a NAR, or not in its order."""


class NarHash:
    """SHA-256 of one store object's NAR. Add the members in tar order, then `end`."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0
        """Bytes of NAR so far; all of them after `end`."""
        self.has_hard_links = False
        """Whether it is no NAR, since a hard link was added."""
        self._strings(b"nix-archive-1")
        self._open: list[bytes] = []
        """Names of the directories that are open, below the store path itself."""
        self._last: list[bytes] = []
        """For each directory that is open, the store path first, its last entry's name."""
        self._root_done = False

    def add(
        self,
        parts: tuple[bytes, ...],
        kind: bytes,
        *,
        size: int = 0,
        mode: int = 0,
        link: bytes = b"",
    ) -> None:
        """Begin the entry at a path relative to the store path, `()` for that itself.

        The content of a file comes through `content`. A hard link, which no NAR has, counts as a
        node of its own with the name that it is another one of. Raises `NarOrderError`.
        """
        if parts:
            self._step_to(parts)
            self._strings(b"entry", b"(", b"name", parts[-1], b"node")
        elif self._root_done:
            raise NarOrderError
        self._root_done = True
        self._node(parts, kind, size, mode, link)

    def content(self, data: bytes | memoryview) -> None:
        self._put(data)

    def file_end(self, parts: tuple[bytes, ...], size: int) -> None:
        """The file's content is complete."""
        self._put(bytes(-size % 8))
        self._close(parts)

    def end(self) -> bytes:
        """The 32 bytes of the NAR hash."""
        while self._last:
            self._leave()
        return self._hash.digest()

    def _node(
        self, parts: tuple[bytes, ...], kind: bytes, size: int, mode: int, link: bytes
    ) -> None:
        if kind == DIRECTORY:
            self._strings(b"(", b"type", b"directory")
            self._open += parts[-1:]
            self._last.append(b"")
        elif kind in (SYMLINK, HARDLINK):
            name = b"symlink" if kind == SYMLINK else b"hard link"
            self.has_hard_links |= kind == HARDLINK
            self._strings(b"(", b"type", name, b"target", link)
            self._close(parts)
        elif kind == FILE:
            self._strings(b"(", b"type", b"regular")
            if mode & 0o100:
                self._strings(b"executable", b"")
            self._strings(b"contents")
            self._put(size.to_bytes(8, "little"))
        else:
            raise NarOrderError

    def _step_to(self, parts: tuple[bytes, ...]) -> None:
        """Leave directories until the parent of `parts` is the innermost that is open."""
        above = list(parts[:-1])
        while len(self._open) > len(above) or self._open != above[: len(self._open)]:
            self._leave()
        if self._open != above or not self._last or self._last[-1] >= parts[-1]:
            raise NarOrderError
        self._last[-1] = parts[-1]

    def _leave(self) -> None:
        self._last.pop()
        self._close(tuple(self._open))
        del self._open[-1:]

    def _close(self, parts: tuple[bytes, ...]) -> None:
        """End a node, and the directory entry around it unless it is the store path itself."""
        self._strings(*((b")", b")") if parts else (b")",)))

    def _put(self, data: bytes | memoryview) -> None:
        self._hash.update(data)
        self.size += len(data)

    def _strings(self, *values: bytes) -> None:
        for value in values:
            self._put(len(value).to_bytes(8, "little") + value + bytes(-len(value) % 8))
