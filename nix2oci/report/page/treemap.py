"""Squarified treemaps: weights -> boxes of those areas, each as near to a square as it gets.

The algorithm is that of Bruls, Huizing and van Wijk, "Squarified Treemaps" (2000): the largest
first, in rows along the shorter side of what is free; a row is closed when one more box would make
the worst of its boxes longer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

_LEAST = 1e-9
"""Of the whole: a smaller box would have no sides that a number can say, and nobody sees it."""


class Box(Struct, frozen=True):
    """A rectangle, from its left upper corner; all in one unit of length."""

    left: float
    top: float
    width: float
    height: float

    @property
    def area(self) -> float:
        return self.width * self.height


def squarify(weights: Sequence[float], whole: Box) -> tuple[Box, ...]:
    """Boxes that fill `whole`, one for each weight and in its place; areas are as the weights.

    Weights are greater than 0. Of equal ones the earlier comes first, at the left or the top.
    """
    least = sum(weights) * _LEAST
    weights = [max(weight, least) for weight in weights]
    total = sum(weights)
    order = sorted(range(len(weights)), key=lambda n: (-weights[n], n))
    areas = [weights[n] / total * whole.area for n in order]
    placed = dict(zip(order, _fill(areas, whole), strict=True))
    return tuple(placed[n] for n in range(len(weights)))


def _fill(areas: Sequence[float], free: Box) -> Iterator[Box]:
    start = 0
    while start < len(areas):
        end = _row(areas, start, min(free.width, free.height))
        row, last = areas[start:end], end == len(areas)
        boxes, free = _lay(row, free, last=last)
        yield from boxes
        start = end


def _row(areas: Sequence[float], start: int, side: float) -> int:
    """Where the row along `side` ends that begins at `start`; areas are in falling order."""
    total, worst = areas[start], _worst(areas[start], areas[start], areas[start], side)
    for end in range(start + 1, len(areas)):
        total += areas[end]
        one_more = _worst(areas[start], areas[end], total, side)
        if one_more > worst:
            return end
        worst = one_more
    return len(areas)


def _worst(largest: float, smallest: float, total: float, side: float) -> float:
    """The largest aspect in a row of these areas, laid along `side`."""
    square = (total / side) ** 2
    return max(largest / square, square / smallest)


def _lay(row: Sequence[float], free: Box, *, last: bool) -> tuple[list[Box], Box]:
    """The boxes of a row, and what is free after it; the last row takes all there is."""
    upright = free.width >= free.height
    along, across = (free.height, free.width) if upright else (free.width, free.height)
    total, boxes, done = sum(row), [], 0.0
    thick = across if last else min(total / along, across)
    for area in row:
        before, done = done, done + area
        at, to = before / total * along, done / total * along
        if upright:
            boxes.append(Box(free.left, free.top + at, thick, to - at))
        else:
            boxes.append(Box(free.left + at, free.top, to - at, thick))
    if upright:
        return boxes, Box(free.left + thick, free.top, free.width - thick, free.height)
    return boxes, Box(free.left, free.top + thick, free.width, free.height - thick)
