"""Where the content of a file is cut, so that a client finds again what an older version had.

A border follows from the bytes around it and not from how many came before, so bytes that an
insertion shifted are cut as they were. Store references change with every rebuild, so each has a
chunk of its own; what is between two of them is cut at the longest lines, which are as good a
local maximum as that of a rolling hash (asymmetric extremum chunking, Zhang et al. 2015), and are
found by functions of Python that are written in C.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import compress
from zlib import crc32

from msgspec import Struct

_AFTER = 4096
"""Bytes behind the largest chunk that may decide where it ends: a reference and its name."""
_REFERENCE = re.compile(rb"/store/[0-9a-df-np-sv-z]{32}[0-9A-Za-z+\-._?=]{0,211}")
"""A store path as files name it, wherever the store is, with its name: that changes as well when
there is a new version (libstore/path.cc, checkName). One without a directory before it is not worth
the time that a search for any 32 digits takes: where it changes, one chunk does."""
_SEPARATORS = (b"\n", b"0")
"""What ends a line; where there is none, as in much that programs write, the next."""


_LONG = 256
"""Bytes of a line by which it is faster to leap than to look at all lines."""


class Sizes(Struct, frozen=True):
    """How large chunks are, in bytes."""

    whole: int
    """A file up to this is one chunk."""
    gap: int
    """References that are no further apart are in one chunk: clients fetch short gaps anyway."""
    least: int
    """A border that a line decides is no nearer to the one before."""
    most: int
    """No chunk is larger."""

    @property
    def window(self) -> int:
        """Bytes of a file that are looked at together."""
        return 3 * self.most + _AFTER


SIZES = Sizes(whole=4 << 10, gap=2 << 10, least=160 << 10, most=400 << 10)
"""Smaller ones make the image, and a pull where only whole files are found again, larger."""


def chunks(
    pieces: Iterable[bytes], size: int, sizes: Sizes = SIZES
) -> Iterator[bytes | memoryview]:
    """The content of a file of `size` bytes, cut; how it comes in pieces decides nothing.

    No chunk is empty, and all of them are the content. A few megabytes are in memory at a time.
    """
    if size <= sizes.whole:
        if size:
            yield b"".join(pieces)
        return
    source, kept, at_end, searched = _Source(pieces), memoryview(b""), False, 0
    while not at_end:
        data = source.window(kept, sizes.window)
        at_end = len(data) < sizes.window
        references = tuple(_references(data, sizes.gap, searched))
        view, start = memoryview(data), 0
        for end in _borders(data, references, sizes, at_end=at_end):
            yield view[start:end]
            start = end
        kept = view[start:]
        has_none = not references or references[-1][1] <= start
        searched = max(0, len(kept) - _AFTER) if has_none else 0


class _Source:
    """Pieces as windows of a size that does not depend on theirs."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def window(self, kept: memoryview, size: int) -> bytes:
        """What was kept and what comes next: `size` bytes, or fewer where that is all."""
        parts, left = [kept], size - len(kept)
        while left and self._has_more():
            parts.append(self._rest[:left])
            self._rest = self._rest[left:]
            left -= len(parts[-1])
        whole = parts[-1].obj
        if not kept and len(parts) == 2 and isinstance(whole, bytes):
            return whole[: size - left]
        return b"".join(parts)

    def _has_more(self) -> bool:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._rest = memoryview(piece)
        return True


def _borders(
    data: bytes, references: Iterable[tuple[int, int]], sizes: Sizes, *, at_end: bool
) -> Iterator[int]:
    """Ends of chunks, the first of which starts where `data` does.

    Those that what comes behind `data` may decide are left out.
    """
    end = len(data)
    limit = end if at_end else end - sizes.most - _AFTER
    runs = iter(references)
    start, (first, last) = 0, next(runs, (end, end))
    while start < limit:
        while last <= start < end:
            first, last = next(runs, (end, end))
        if first - start > sizes.gap:
            start = first if first - start <= sizes.most else _after_line(data, start, sizes)
        else:
            to_end = at_end and end - last <= sizes.gap
            start = min(end if to_end else last, start + sizes.most)
        yield start


def _references(data: bytes, gap: int, since: int) -> Iterator[tuple[int, int]]:
    """Where store references are from there on, those that are near each other as one."""
    first = last = -1
    for found in _REFERENCE.finditer(data, since):
        start, end = found.span()
        if last >= 0 and start - last > gap:
            yield first, last
        if last < 0 or start - last > gap:
            first = start
        last = end
    if last >= 0:
        yield first, last


def _after_line(data: bytes, start: int, sizes: Sizes) -> int:
    """The start of the longest line of those that start where the next chunk may start.

    Of several, that with the greatest checksum, or no border of a text would come back that has
    lines of one length, as a bundle of certificates does.
    """
    low, high = start + sizes.least, start + sizes.most
    for separator in _SEPARATORS:
        first = data.find(separator, low, high) + 1
        if first:
            lines = data[first:high]
            place = _long_line(lines, separator)
            return first + (_longest_line(lines, separator) if place is None else place)
    return high


def _long_line(text: bytes, separator: bytes) -> int | None:
    """Where the longest line starts, if it has `_LONG` bytes.

    Where a separator is within the length of the longest line so far, no line before the last such
    separator is as long: most bytes of a program are not looked at.
    """
    places: dict[bytes, int] = {}
    size, at = _LONG, 0
    while at + size <= len(text):
        last = text.rfind(separator, at, at + size)
        if last >= 0:
            at = last + 1
            continue
        end = text.find(separator, at + size)
        line = text[at:] if end < 0 else text[at:end]
        if len(line) > size:
            places, size = {}, len(line)
        places.setdefault(line, at)
        at += size + 1
    return places[max(places, key=crc32)] if places else None


def _longest_line(text: bytes, separator: bytes) -> int:
    """Where the longest line starts, whatever its size."""
    lines = text.split(separator)
    size = max(map(len, lines))
    longest = dict.fromkeys(compress(lines, map(size.__eq__, map(len, lines))))
    return text.find(max(longest, key=crc32))  # within no other line: none is longer
