"""Files of this machine that become files of the image, with nothing of theirs but the bytes.

Names in bytewise order, no times, no owners, and of the mode only whether a file is executable:
the same on every machine. `.git` is never one of them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from nix2oci.errors import OutputError
from nix2oci.host.regular_files import open_file
from nix2oci.model.tree import Directory, Entry, File, Symlink
from nix2oci.text import display

_PIECE = 1 << 20


class FileBytes(Struct, frozen=True):
    """The bytes of a file, read each time anew."""

    path: bytes
    size: int

    def __iter__(self) -> Iterator[bytes]:
        """Raises `OutputError` for a file that cannot be read or has another size by now."""
        left = self.size
        try:
            with open_file(os.fsdecode(self.path)) as file:
                while piece := file.read(min(_PIECE, left + 1)):
                    left -= len(piece)
                    if left < 0:
                        break
                    yield piece
        except OSError as err:
            raise OutputError(f"cannot read {display(self.path)}: {err.strerror}") from err
        if left:
            raise OutputError(f"cannot read {display(self.path)}: it changed while it was read")


class Owner(Struct, frozen=True):
    """Whose the files are, and with which mode; None: by what they are."""

    uid: int
    gid: int
    mode: int | None


Target = Callable[[bytes, bytes], bytes]
"""The target of a link: of its path here and what is written there."""
Names = Callable[[bytes], Mapping[bytes, bytes]]
"""The names in a directory, in order, each with the one that it has on disk."""


def source_entries(
    source: bytes, at: bytes, owner: Owner, target: Target, names: Names
) -> Iterator[Entry]:
    """What is at `source`, and below it, as entries of the image at and below `at`.

    Raises `OutputError` for what cannot be read, and for what is neither file, directory nor link.
    """
    try:
        yield from _entries(source, at, owner, target, names)
    except OSError as err:
        raise OutputError(f"cannot read {display(source)}: {err.strerror}") from err


def _entries(
    source: bytes, at: bytes, owner: Owner, target: Target, names: Names
) -> Iterator[Entry]:
    ids, waiting = (owner.uid, owner.gid), [(source, at)]
    while waiting:
        source, at = waiting.pop()
        status = os.lstat(source)
        if stat.S_ISLNK(status.st_mode):
            yield Symlink(at, target(source, os.readlink(source)))
        elif stat.S_ISREG(status.st_mode):
            mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
            size = status.st_size
            mode = mode if owner.mode is None else owner.mode
            yield File(at, size, FileBytes(source, size), mode, *ids)
        elif stat.S_ISDIR(status.st_mode):
            yield Directory(at, _of_directory(owner.mode), *ids)
            above = at + b"/" if at else b""
            below = [
                (source + b"/" + on_disk, above + name)
                for name, on_disk in names(source).items()
                if name != b".git"
            ]
            waiting += reversed(below)
        else:
            raise OutputError(f"cannot put {display(source)} into an image: it is no file")


def _of_directory(mode: int | None) -> int:
    """The mode of a directory among files of that mode: who may read may enter."""
    if mode is None:
        return 0o755
    return (mode & 0o777) | (mode & 0o444) >> 2
