"""Files with holes, as GNU tar and Go's writers store them: the bytes between holes, and a map.

The forms are those of https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html: type
`S` with the map in the header, PAX 0.x with the map in records, 1.0 with it before the content. The
hard part is that a map of a few bytes may describe a file without end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise

_BLOCK = 512
_ZEROS = memoryview(bytes(1 << 16))
_MAX_MAP = 1 << 20
_MAX_HOLES = 1 << 30
"""Bytes of holes in a file that are given as zeros; of one that has more none are."""

Pieces = tuple[tuple[int, int], ...]
"""Offset and size of what is stored, in order."""


class SparseError(Exception):
    """The map is none; says why, as the end of a sentence."""


def of_header(
    header: bytes, exactly: Callable[[int], bytes], number: Callable[[bytes], int]
) -> tuple[Pieces, int]:
    """The map of a header of type `S`, which may go on in further blocks, and the real size."""
    fields, more, blocks = header[386:482], header[482], 0
    while more:
        block = exactly(_BLOCK)
        blocks += _BLOCK
        if blocks > _MAX_MAP:
            raise SparseError("the map of a file with holes is too large")
        fields, more = fields + block[:504], block[504]
    numbers = [number(fields[at : at + 12]) for at in range(0, len(fields), 12)]
    pieces = zip(numbers[::2], numbers[1::2], strict=True)
    return tuple(piece for piece in pieces if piece != (0, 0)), number(header[483:495])


def of_records(
    records: Mapping[bytes, bytes], exactly: Callable[[int], bytes]
) -> tuple[Pieces, int, int] | None:
    """The map that PAX records tell of, the real size, and the bytes of the map in the content.

    None where they tell of none that is known.
    """
    size = records.get(b"GNU.sparse.realsize", records.get(b"GNU.sparse.size"))
    if size is None:
        return None
    if b"GNU.sparse.map" in records:
        numbers = [_decimal(each) for each in records[b"GNU.sparse.map"].split(b",") if each]
        return _pairs(numbers), _decimal(size), 0
    if records.get(b"GNU.sparse.major") != b"1":
        return None
    numbers, length = _leading_map(exactly)
    return _pairs(numbers), _decimal(size), length


def _leading_map(exactly: Callable[[int], bytes]) -> tuple[list[int], int]:
    """The numbers before the content, a line each after their count, in whole blocks."""
    data = bytearray()
    lines, wanted = 0, 1
    while lines < wanted:
        if len(data) >= _MAX_MAP:
            raise SparseError("the map of a file with holes is too large")
        data += (block := exactly(_BLOCK))
        if not lines and b"\n" in block:
            wanted = 1 + 2 * _decimal(bytes(data.partition(b"\n")[0]))
        lines += block.count(b"\n")
    numbers = bytes(data).split(b"\n")[1:wanted]
    return [_decimal(number) for number in numbers], len(data)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 18:
        raise SparseError("the map of a file with holes is damaged")
    return int(digits)


def _pairs(numbers: list[int]) -> Pieces:
    if len(numbers) % 2:
        raise SparseError("the map of a file with holes is damaged")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def check(pieces: Pieces, size: int, stored: int) -> None:
    """Raise `SparseError` where a map is not that of a file of this size with so much stored."""
    ends = [0, *(number for offset, length in pieces for number in (offset, offset + length)), size]
    if sum(length for _, length in pieces) != stored or any(a > b for a, b in pairwise(ends)):
        raise SparseError("the map of a file with holes is damaged")


def expanded(stored: Iterable[memoryview], pieces: Pieces, size: int) -> Iterator[memoryview]:
    """The content with zeros for holes, where it is not too many of them."""
    holes = size - sum(length for _, length in pieces) <= _MAX_HOLES
    source, data, at = iter(stored), memoryview(b""), 0
    for offset, length in (*pieces, (size, 0)):
        if holes:
            yield from _zeros(offset - at)
        left = length
        while left:
            data = data or next(source)
            piece, data = data[:left], data[left:]
            left -= len(piece)
            yield piece
        at = offset + length


def _zeros(count: int) -> Iterator[memoryview]:
    while count > 0:
        yield _ZEROS[:count]
        count -= len(_ZEROS)
