"""Archives that somebody has compressed: `docker save | gzip`, or what dockerTools makes.

One is unpacked once, into a file without a name, which is gone with the last who reads it. The
hard part is that a small file may unpack to one without end: disk and memory stay bounded.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable
from io import FileIO

from nix2oci.errors import LayoutError, OutputError
from nix2oci.oci.layer.unpack import UnpackError, compression_of, unpacked
from nix2oci.oci.layout.archive import chunks

_MAGIC = {b"\xfd7zXZ\0": "xz", b"BZh": "bzip2"}
_FLOOR, _RATIO = 1 << 30, 100
"""An archive of more bytes than the first is none that unpacks to so many times its size."""


class View:
    """A file without a name, read from a place of its own; close it."""

    def __init__(self, handle: int) -> None:
        self._handle = os.dup(handle)
        self._at = 0

    def seek(self, offset: int, /) -> int:
        self._at = offset
        return offset

    def read(self, size: int = -1, /) -> bytes:
        data = os.pread(self._handle, size, self._at)
        self._at += len(data)
        return data

    def close(self) -> None:
        os.close(self._handle)


class Unpacked:
    """The plain bytes of a compressed file."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        weakref.finalize(self, os.close, handle)

    def view(self) -> View:
        return View(self._handle)

    def file(self) -> FileIO:
        """The same from its start, as a file; only one at a time is right."""
        os.lseek(self._handle, 0, os.SEEK_SET)
        return FileIO(os.dup(self._handle), "rb")


def packing_of(head: bytes) -> str:
    """What an archive is compressed with, by its first bytes, or `none`."""
    others = (name for magic, name in _MAGIC.items() if head.startswith(magic))
    return next(others, compression_of(head))


def unpack(file: FileIO, compression: str, text: str) -> Unpacked:
    """Unpack a file from its start; `text` is how the user named it.

    Raises `LayoutError` where that cannot be done, or would not end, and `OutputError`.
    """
    most = max(_FLOOR, _RATIO * os.fstat(file.fileno()).st_size)
    try:
        with tempfile.TemporaryFile(buffering=0) as plain:
            _write_all(plain.fileno(), unpacked(chunks(file), compression), most, text)
            return Unpacked(os.dup(plain.fileno()))
    except UnpackError as err:
        raise LayoutError(f"cannot read image at {text}: {err}") from err
    except OSError as err:
        raise OutputError(
            f"cannot read image at {text}: cannot unpack it: {err.strerror}",
            hint="TMPDIR names the directory where it is unpacked",
        ) from err


def _write_all(handle: int, plain: Iterable[bytes], most: int, text: str) -> None:
    for piece in plain:
        most -= len(piece)
        if most < 0:
            raise LayoutError(
                f"cannot read image at {text}: it unpacks to more than {_RATIO} times its size",
                hint="if that is right, decompress it first",
            )
        view = memoryview(piece)
        while view:
            view = view[os.write(handle, view) :]
