"""What is compressed, read strictly: each member or frame complete, nothing after the last.

The hard part is that the usual readers are kind: they stop at the first thing that they do not
know and call it the end. What they skip is still part of the diff ID of one tool and not of
another's. Memory stays bounded whatever a layer expands to.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bz2 import BZ2Decompressor
    from lzma import LZMADecompressor

_GZIP = (b"\x1f\x8b\x08",)
_ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes([n]) + b"\x2a\x4d\x18" for n in range(0x50, 0x60)))
"""The frames with data, and those to skip (RFC 8878, 3.1)."""
_MAX_PIECE = 1 << 20
"""Bytes of plain data in one piece, where the decompressor lets us say."""

_MAX_MEMORY = 256 << 20
"""More than `xz -9` asks for."""

_FEED = 2048
"""Bytes of zstd at a time: even the densest then expand to tens of megabytes only."""


class UnpackError(Exception):
    """The data is not what its compression asks for; says why, as the end of a sentence."""


class _DamagedError(Exception):
    """What a library says of data that it cannot unpack."""


def compression_of(head: bytes) -> str:
    """`gzip`, `zstd` or `none`, by the first bytes of a layer."""
    if head.startswith(_GZIP):
        return "gzip"
    return "zstd" if head.startswith(_ZSTD) else "none"


def unpacked(chunks: Iterable[bytes], compression: str) -> Iterator[bytes]:
    """Plain bytes of a layer or archive; raises `UnpackError` at the first thing that is wrong."""
    if compression == "gzip":
        return _units(chunks, _Member, "gzip member", _GZIP)
    if compression == "zstd":
        return zstd_frames(chunks, Frame)
    if compression == "xz":
        return _units(chunks, _xz, "xz stream", (b"\xfd7zXZ\0",))
    if compression == "bzip2":
        return _units(chunks, _bzip2, "bzip2 stream", (b"BZh",))
    return iter(chunks)


def zstd_frames(chunks: Iterable[bytes], new: Callable[[], Frame]) -> Iterator[bytes]:
    """The same of zstd, each frame of which is read by a `new` one."""
    return _units(_small(chunks), new, "zstd frame", _ZSTD)


class _Unit(Protocol):
    """A decompressor of one gzip member or zstd frame."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Plain bytes; raises `_DamagedError`."""

    def rest(self) -> bytes | None:
        """What came after the end of the unit; None when that was not reached."""


def _units(
    chunks: Iterable[bytes], new: Callable[[], _Unit], name: str, magic: tuple[bytes, ...]
) -> Iterator[bytes]:
    unit: _Unit | None = None
    count, head = 0, b""
    for chunk in chunks:
        data: bytes | None = chunk
        while data:
            if unit is None:
                unit, count, head = new(), count + 1, data[:4]
            try:
                yield from unit.feed(data)
            except _DamagedError as err:
                if count > 1 and not head.startswith(tuple(m[: len(head)] for m in magic)):
                    raise UnpackError(f"after {name} {count - 1} there is other data") from err
                raise UnpackError(f"{name} {count} is damaged: {err}") from err
            data = unit.rest()
            if data is not None:
                unit = None
    if unit is not None:
        raise UnpackError(f"{name} {count} ends too early")


class _Member:
    """RFC 1952; zlib checks the CRC and the size at the end."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)

    def feed(self, data: bytes) -> Iterator[bytes]:
        full = True
        while (data or full) and not self._inflate.eof:
            try:
                plain = self._inflate.decompress(data, _MAX_PIECE)
            except zlib.error as err:
                raise _DamagedError(err) from err
            yield plain
            data, full = self._inflate.unconsumed_tail, len(plain) == _MAX_PIECE

    def rest(self) -> bytes | None:
        return self._inflate.unused_data if self._inflate.eof else None


class Frame:
    """RFC 8878, skippable frames too."""

    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415  # only a layer that needs it loads it

        self._error = zstandard.ZstdError
        self._inflate = zstandard.ZstdDecompressor().decompressobj()

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            yield self._inflate.decompress(data)
        except self._error as err:
            raise _DamagedError(err) from err

    def rest(self) -> bytes | None:
        return self._inflate.unused_data if self._inflate.eof else None


class _Stream:
    """One of two libraries that are used alike; both check what they unpack."""

    def __init__(
        self, inflate: LZMADecompressor | BZ2Decompressor, *errors: type[Exception]
    ) -> None:
        self._inflate = inflate
        self._errors = errors

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            yield self._inflate.decompress(data, _MAX_PIECE)
            while not (self._inflate.eof or self._inflate.needs_input):
                yield self._inflate.decompress(b"", _MAX_PIECE)
        except self._errors as err:
            raise _DamagedError(err) from err

    def rest(self) -> bytes | None:
        return self._inflate.unused_data if self._inflate.eof else None


def _xz() -> _Stream:
    from lzma import LZMADecompressor, LZMAError  # noqa: PLC0415  # seldom needed

    return _Stream(LZMADecompressor(memlimit=_MAX_MEMORY), LZMAError)


def _bzip2() -> _Stream:
    from bz2 import BZ2Decompressor  # noqa: PLC0415

    return _Stream(BZ2Decompressor(), OSError, ValueError)


def _small(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), _FEED):
            yield chunk[start : start + _FEED]
