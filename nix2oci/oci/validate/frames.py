"""The zstd frames of a layer as it streams by: where each lies, and what is in it."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import partial

from msgspec import Struct

from nix2oci.oci.layer.unpack import Frame, zstd_frames

_MOST = 1 << 21
"""Frames that are remembered: a layer of half a million files has fewer."""

MOST_SKIPPED = 32 << 20
"""Bytes of a frame to skip that are kept: a table of half a million files has fewer."""

_KEPT = 3
"""Such frames that are kept: those at the end are the table."""

_HEADER = 8
"""Bytes before what is in such a frame: magic number and length (RFC 8878, 3.1.2)."""


class Skipped(Struct, frozen=True):
    """A frame that is to be skipped; `start` is where in the blob its payload begins."""

    start: int
    payload: bytes


class Frames:
    """Frames of one blob. Those with data are remembered where they are to be `hashed`."""

    def __init__(self, *, hashed: bool) -> None:
        self.hashed = hashed
        self.starts, self.ends = array("Q"), array("Q")
        """In the blob."""
        self.plain_starts, self.plain_ends = array("Q"), array("Q")
        """Of what they hold, in the tar."""
        self._digests = bytearray()
        self.skipped: tuple[Skipped, ...] = ()
        """The last ones, each cut off where it is too large to be kept."""
        self.is_last_skipped = False
        self._end = 0
        self._plain_end = 0

    def unpacked(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """What is in the frames of a blob; raises `UnpackError`."""
        return zstd_frames(chunks, partial(_Recorded, self))

    @property
    def too_many(self) -> bool:
        """Whether some are not remembered."""
        return len(self.starts) == _MOST

    def index(self, start: int) -> int | None:
        """The number of the frame that begins there."""
        found = bisect_left(self.starts, start)
        return found if found < len(self.starts) and self.starts[found] == start else None

    def digest(self, number: int) -> bytes:
        """SHA-256 of what a frame holds."""
        return bytes(self._digests[32 * number : 32 * number + 32])

    def add(self, size: int, plain_size: int, digest: bytes) -> None:
        start, plain_start = self._end, self._plain_end
        self._end += size
        self._plain_end += plain_size
        self.is_last_skipped = False
        if self.hashed and not self.too_many:
            self.starts.append(start)
            self.ends.append(self._end)
            self.plain_starts.append(plain_start)
            self.plain_ends.append(self._plain_end)
            self._digests += digest

    def skip(self, size: int, payload: bytes) -> None:
        found = Skipped(self._end + _HEADER, payload)
        self.skipped = (*self.skipped[-_KEPT + 1 :], found)
        self._end += size
        self.is_last_skipped = True


class _Recorded(Frame):
    """A frame that is told of at its end."""

    def __init__(self, frames: Frames) -> None:
        super().__init__()
        self._frames = frames
        self._head = bytearray()
        """The first bytes; all of a frame that is skipped."""
        self._hash = hashlib.sha256()
        self._size = self._plain_size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._size += len(data)
        if len(self._head) < 4 or (self._is_skipped and len(self._head) < MOST_SKIPPED):
            self._head += data
        for piece in super().feed(data):
            self._plain_size += len(piece)
            if self._frames.hashed:
                self._hash.update(piece)
            yield piece

    def rest(self) -> bytes | None:
        rest = super().rest()
        if rest is None:
            return None
        size = self._size - len(rest)
        if self._is_skipped:
            self._frames.skip(size, bytes(self._head[_HEADER:size]))
        else:
            self._frames.add(size, self._plain_size, self._hash.digest())
        return rest

    @property
    def _is_skipped(self) -> bool:
        return self._head[1:4] == b"\x2a\x4d\x18" and self._head[0] & 0xF0 == 0x50
