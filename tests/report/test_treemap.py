"""Treemaps: boxes fill what they are given, each as large as its weight, none over another."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.report.page.treemap import Box, squarify

WEIGHTS = st.lists(st.integers(1, 10**12), min_size=1, max_size=40)
SIDES = st.floats(0.1, 5000)
EPSILON = 1e-9


def common(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    width = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    height = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    return max(width, 0) * max(height, 0)


@given(WEIGHTS, SIDES, SIDES)
def test_areas_are_as_the_weights(weights: list[int], width: float, height: float) -> None:
    whole = Box(3, 7, width, height)
    boxes = squarify(weights, whole)
    expected = [weight / sum(weights) * whole.area for weight in weights]
    assert [box.area for box in boxes] == pytest.approx(expected, rel=1e-6, abs=1e-9 * whole.area)


@given(WEIGHTS, SIDES, SIDES)
def test_boxes_are_a_partition(weights: list[int], width: float, height: float) -> None:
    whole = Box(3, 7, width, height)
    boxes = squarify(weights, whole)
    assert sum(box.area for box in boxes) == pytest.approx(whole.area)
    for box in boxes:
        assert common(box, whole) == pytest.approx(box.area, abs=EPSILON * whole.area)
    assert all(common(*two) <= EPSILON * whole.area for two in combinations(boxes, 2))


def aspect(box: Box) -> float:
    """The longer side by the shorter: 1 is a square."""
    return max(box.width, box.height) / min(box.width, box.height)


@given(st.integers(1, 10), st.data())
def test_boxes_in_a_square_are_no_longer_than_twice_the_ratio_of_weights_and_one(
    ratio: int, data: st.DataObject
) -> None:
    weights = data.draw(st.lists(st.floats(1, ratio), min_size=1, max_size=40))
    boxes = squarify(weights, Box(0, 0, 1, 1))
    assert max(map(aspect, boxes)) <= 2 * ratio + 1 + EPSILON


@given(WEIGHTS)
def test_the_largest_is_in_the_left_upper_corner(weights: list[int]) -> None:
    boxes = squarify(weights, Box(0, 0, 16, 10))
    assert (boxes[weights.index(max(weights))].left, boxes[weights.index(max(weights))].top) == (
        0,
        0,
    )


def test_the_example_of_the_paper() -> None:
    """Figure 5 there: 6, 6, 4, 3, 2, 2, 1 in a box of 6 by 4."""
    boxes = squarify([6, 6, 4, 3, 2, 2, 1], Box(0, 0, 6, 4))
    at = [(round(b.left, 3), round(b.top, 3), round(b.width, 3), round(b.height, 3)) for b in boxes]
    assert at == [
        (0, 0, 3, 2),
        (0, 2, 3, 2),
        (3, 0, 1.714, 2.333),
        (4.714, 0, 1.286, 2.333),
        (3, 2.333, 1.2, 1.667),
        (4.2, 2.333, 1.2, 1.667),
        (5.4, 2.333, 0.6, 1.667),
    ]


def test_boxes_stand_in_the_order_of_the_weights() -> None:
    one, two = squarify([1, 3], Box(0, 0, 4, 2))
    assert (one, two) == (Box(3, 0, 1, 2), Box(0, 0, 3, 2))


def test_nothing_is_no_box() -> None:
    assert squarify([], Box(0, 0, 4, 2)) == ()
