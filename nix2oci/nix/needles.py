"""Which files have one of some texts in them, and where: needles are hash parts and names.

Most files are small and have none. So many are read one behind the other, into memory that is used
again, and searched at once.
"""

from __future__ import annotations

import os
from bisect import bisect
from collections.abc import Collection, Iterable, Iterator

_CHUNK = 1 << 18
"""Bytes of a file that are searched at once: memory for more is fresh each time, and costs as much
as to read them."""
_TOGETHER = 1 << 20
"""Bytes of many files."""
_MOST = 1000
"""Files that are searched at once."""


def find(fd: int, needles: Iterable[bytes], start: int = 0) -> dict[bytes, int]:
    """Where each of the needles, all of one length, begins in a file for the first time."""
    found: dict[bytes, int] = {}
    missing = list(needles)
    step = _CHUNK - max(map(len, missing), default=1) + 1
    at = start
    while missing and (data := os.pread(fd, _CHUNK, at)):
        for needle in missing:
            place = data.find(needle)
            if place >= 0:
                found[needle] = at + place
        missing = [needle for needle in missing if needle not in found]
        if len(data) < _CHUNK:
            break
        at += step
    return found


def holding(files: Iterable[tuple[bytes, bytes]], needles: Collection[bytes]) -> Iterator[bytes]:
    """The names of the files that may have a needle: all that have one, and some that did not fit.

    Each file is given as its place, where no link is followed, and its name. Raises `OSError`.
    """
    memory = bytearray(_TOGETHER)
    names: list[bytes] = []
    starts = [0]
    for place, name in files:
        size = _read(place, memoryview(memory)[starts[-1] :])
        if starts[-1] + size == _TOGETHER or len(names) == _MOST:
            yield from (names[at] for at in _hits(memory, starts, needles))
            names, starts = [], [0]
            yield name
            continue
        names.append(name)
        starts.append(starts[-1] + size)
    yield from (names[at] for at in _hits(memory, starts, needles))


def _hits(memory: bytearray, starts: list[int], needles: Iterable[bytes]) -> list[int]:
    """The numbers of the pieces of memory, of which `starts` has the borders, with a needle.

    Now and then also one at whose end a needle begins that the next piece ends.
    """
    hits: set[int] = set()
    for needle in needles:
        at = memory.find(needle, 0, starts[-1])
        while at >= 0:
            after = bisect(starts, at)
            hits.add(after - 1)
            at = memory.find(needle, starts[after], starts[-1])
    return sorted(hits)


def _read(place: bytes, memory: memoryview) -> int:
    """Read the start of a file, as much as fits."""
    fd = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.readv(fd, (memory,))
    finally:
        os.close(fd)
