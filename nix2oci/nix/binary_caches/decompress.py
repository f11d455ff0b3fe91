"""NARs as binary caches keep them: compressed, by a method that their record names.

The hard part is a few bytes that stand for very many: what comes out is given in pieces, and no
decoder may keep more than so much in memory.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Protocol

from nix2oci.errors import OutputError

PIECE = 1 << 18
"""Bytes of a NAR at a time."""

_MOST_MEMORY = 1 << 28
"""Bytes for one decoder; xz -9 takes 65 MiB, zstd --ultra -22 takes 128."""


SLOW = frozenset({"xz", "bzip2"})
"""Methods by which a NAR is not decompressed twice, if that can be helped."""


class DecompressionError(Exception):
    """The text says what is wrong, as the end of a sentence about a NAR."""


class _Decoder(Protocol):
    """What decoders of the standard library have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


def decompressed(file: IO[bytes], method: str) -> Iterator[bytes]:
    """The NAR in a file, in pieces; raises `DecompressionError`, and `OSError` of the file."""
    if method not in _METHODS:
        known = ", ".join(_METHODS)
        raise DecompressionError(f"is compressed as '{method}', which is none of {known}")
    yield from _METHODS[method](file)


def kept_as_zstd(pieces: Iterator[bytes], place: str) -> Iterator[bytes]:
    """The same pieces, which are in a file as well once all of them came: read in no time.

    Raises `OutputError` where it cannot be written.
    """
    from zstandard import ZstdCompressor  # noqa: PLC0415  # loaded when used

    part = f"{place}.{os.getpid()}-{threading.get_ident()}"
    try:
        with open(part, "wb") as file, ZstdCompressor(level=1).stream_writer(file) as writer:
            for piece in pieces:
                writer.write(piece)
                yield piece
        os.replace(part, place)
    except OSError as err:
        raise OutputError(
            f"cannot write to {os.path.dirname(place)}: {err.strerror}",
            hint="TMPDIR may name another directory",
        ) from err


def _plain(file: IO[bytes]) -> Iterator[bytes]:
    while data := file.read(PIECE):
        yield data


def _xz(file: IO[bytes]) -> Iterator[bytes]:
    from lzma import FORMAT_AUTO, LZMADecompressor, LZMAError  # noqa: PLC0415  # loaded when used

    try:
        yield from _decoded(file, lambda: LZMADecompressor(FORMAT_AUTO, memlimit=_MOST_MEMORY))
    except LZMAError as err:
        raise DecompressionError(f"is not in the form of xz: {err}") from err


def _bzip2(file: IO[bytes]) -> Iterator[bytes]:
    from bz2 import BZ2Decompressor  # noqa: PLC0415  # loaded when used

    try:
        yield from _decoded(file, BZ2Decompressor)
    except OSError as err:
        if err.errno is not None:  # of the file
            raise
        raise DecompressionError("is not in the form of bzip2") from err


def _decoded(file: IO[bytes], new: Callable[[], _Decoder]) -> Iterator[bytes]:
    """What one compressed stream after the other gives, as their writers may have cut it."""
    decoder, data = new(), b""
    while True:
        if not data and decoder.needs_input:
            data = file.read(PIECE)
            if not data:
                raise DecompressionError("ends early")
        if piece := decoder.decompress(data, PIECE):
            yield piece
        data = b""
        if decoder.eof:
            data = (decoder.unused_data or file.read(PIECE)).lstrip(b"\0")
            if not data:
                return
            decoder = new()


def _zstd(file: IO[bytes]) -> Iterator[bytes]:
    from zstandard import ZstdDecompressor, ZstdError  # noqa: PLC0415  # loaded when used

    decoder = ZstdDecompressor(max_window_size=_MOST_MEMORY)
    try:
        with decoder.stream_reader(file, read_across_frames=True, closefd=False) as reader:
            yield from _plain(reader)
    except ZstdError as err:
        raise DecompressionError(f"is not in the form of zstd: {err}") from err


_METHODS: Mapping[str, Callable[[IO[bytes]], Iterator[bytes]]] = {
    "xz": _xz,
    "zstd": _zstd,
    "bzip2": _bzip2,
    "none": _plain,
}
