"""What groups of store paths cost as layers."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakestore import store_path
from support.graphs import Graph, closure, graphs, info

from nix2oci.model.closure import Closure, StorePath
from nix2oci.plan.layers.cost import STORED_IF_COUNTED, STORED_IF_GUESSED, Group, Prices
from nix2oci.plan.layers.popularity import PackageGroup, Popularity, SharedLayer

MB = 1_000_000
CHAIN = closure(info("app", MB, "lib"), info("lib", 8 * MB, "libc"), info("libc", 30 * MB))
APP, LIB, LIBC = (store_path(name) for name in ("app", "lib", "libc"))


def close(number: float) -> object:
    return pytest.approx(number, rel=1e-9, abs=1e-3)


def moved(prices: Prices, *paths: StorePath) -> float:
    return prices.moved(prices.of_paths(paths))


def test_what_refers_to_more_moves_more_often() -> None:
    """A change is as likely in one path as in another."""
    prices = Prices.of(CHAIN)
    assert [moved(prices, path) for path in (APP, LIB, LIBC)] == [
        close(MB * 3 / 3),
        close(8 * MB * 2 / 3),
        close(30 * MB * 1 / 3),
    ]


def test_a_layer_moves_when_any_of_its_paths_does() -> None:
    assert moved(Prices.of(CHAIN), LIB, LIBC) == close(38 * MB * 2 / 3)


def test_what_is_stable_never_changes_and_moves_only_with_others() -> None:
    prices = Prices.of(CHAIN, stable=[LIBC])
    assert moved(prices, LIBC) == 0
    assert moved(prices, LIB) == close(8 * MB / 2)
    assert moved(prices, LIB, LIBC) == close(38 * MB / 2)


def test_where_all_is_stable_the_first_path_may_change_all_the_same() -> None:
    prices = Prices.of(CHAIN, stable=list(CHAIN))
    assert [moved(prices, path) for path in (APP, LIB, LIBC)] == [MB, 0, 0]


def test_alone_a_path_costs_what_is_expected_to_move() -> None:
    prices = Prices.of(CHAIN)
    assert all(group.price == close(moved(prices, path)) for path, group in prices.alone.items())


def fleet(*shared: SharedLayer, lib: tuple[int, ...] = (0, 1), of: int = 4) -> Popularity:
    names = ("app", "b", "c", "d")[:of]
    everywhere = tuple(range(of))
    groups = [PackageGroup(everywhere, {"libc": 30 * MB}), PackageGroup(lib, {"lib": 8 * MB})]
    return Popularity.of(names, groups, shared)


def test_bytes_weigh_more_where_they_were_counted() -> None:
    assert Prices.of(CHAIN).stored == STORED_IF_GUESSED
    assert Prices.of(CHAIN, fleet()).stored == STORED_IF_COUNTED


def test_a_layer_that_the_fleet_has_is_cheaper() -> None:
    unknown = Prices.of(CHAIN, fleet(lib=(0, 1, 2, 3)))
    known = Prices.of(CHAIN, fleet(SharedLayer(("lib", "libc"), 4), lib=(0, 1, 2, 3)))
    assert known.of_paths([LIB, LIBC]).price < unknown.of_paths([LIB, LIBC]).price
    assert known.alone == unknown.alone


def test_what_the_same_images_have_is_cheaper_together() -> None:
    alike = Prices.of(CHAIN, fleet(lib=(0, 1, 2, 3)))
    apart = Prices.of(CHAIN, fleet(lib=(0,)))

    def stored_once_more(prices: Prices) -> float:
        one, other = prices.alone[LIB], prices.alone[LIBC]
        weight = one.again + other.again
        dearer = prices.dearer(one, other)
        return (dearer - moved_more(prices)) / (prices.stored * weight)

    def moved_more(prices: Prices) -> float:
        return moved(prices, LIB, LIBC) - moved(prices, LIB) - moved(prices, LIBC)

    assert stored_once_more(alike) < stored_once_more(apart) <= 1


def test_an_image_that_the_index_lacks_counts_as_one_more() -> None:
    newcomer = closure(info("new", MB, "libc"), info("libc", 30 * MB), roots=("new",))
    prices = Prices.of(newcomer, fleet())
    assert prices.alone[LIBC].part == close(30 * MB / 5)
    assert Prices.of(CHAIN, fleet()).alone[LIBC].part == close(30 * MB / 4)


@given(graphs(), st.data())
def test_a_group_is_the_same_in_whatever_order_it_was_joined(
    graph: Graph, data: st.DataObject
) -> None:
    whole: Closure = graph.closure()
    prices = Prices.of(whole)
    paths = data.draw(st.lists(st.sampled_from(list(whole)), min_size=1, max_size=5, unique=True))
    one = prices.of_paths(paths)
    for order in itertools.islice(itertools.permutations(paths), 6):
        other = prices.of_paths(order)
        assert (one.size, one.reach, one.every, one.some, one.mark) == (
            *(other.size, other.reach, other.every, other.some, other.mark),
        )


@given(graphs())
def test_two_layers_never_move_more_than_the_one_that_they_make(graph: Graph) -> None:
    whole = graph.closure()
    prices = Prices.of(whole)
    for one, other in itertools.pairwise(whole):
        together = moved(prices, one, other)
        assert together >= moved(prices, one) + moved(prices, other) - 1e-6
        assert prices.dearer(prices.alone[one], prices.alone[other]) >= -1e-3


# --- limits in place of prices -----------------------------------------------------------------


@st.composite
def priced_groups(draw: st.DrawFn) -> tuple[Prices, list[Group]]:
    """Groups of a closure that have no path in common, with and without a fleet.

    The fleet may have two of the groups as a layer.
    """
    whole = draw(graphs()).closure()
    paths = list(whole)
    apart = draw(st.lists(st.sampled_from(paths), max_size=len(paths) - 1))
    cuts = draw(st.lists(st.integers(0, 4), min_size=len(paths), max_size=len(paths)))
    groups: dict[int, list[StorePath]] = {}
    for path, cut in zip(paths, cuts, strict=True):
        if path not in apart:
            groups.setdefault(cut, []).append(path)
    index = None
    if draw(st.booleans()):
        fleet = Popularity.counted(each.closure() for each in draw(st.lists(graphs(), max_size=3)))
        layers = [
            SharedLayer(tuple(path.name for path in [*one, *other]), draw(st.integers(1, 9)))
            for one, other in itertools.combinations(groups.values(), 2)
        ]
        index = Popularity.of(fleet.images, fleet.groups, layers)
    stable = draw(st.lists(st.sampled_from(paths), max_size=3))
    prices = Prices.of(whole, index, stable, apart)
    return prices, [prices.of_paths(group) for group in groups.values()]


@given(priced_groups())
def test_two_groups_never_cost_less_than_their_limit(given: tuple[Prices, list[Group]]) -> None:
    prices, groups = given
    for one in groups:
        rests = prices.rests(one, {other.mark for other in groups})
        others = [other for other in groups if other is not one and other.mark not in rests]
        limits = prices.dearer_at_least(one, others)
        for limit, other in zip(limits, others, strict=True):
            assert limit <= prices.dearer(one, other)


@given(priced_groups())
def test_no_limit_is_below_the_floors_of_the_two(given: tuple[Prices, list[Group]]) -> None:
    """So what may cost less than anything above its limit is never left out."""
    prices, (one, *others) = given
    floors = dict(enumerate(map(prices.floor, others)))
    for number, limit in enumerate(prices.dearer_at_least(one, others)):
        above = math.nextafter(limit, math.inf)
        assert number in prices.near(prices.floor(one), floors, above)


@given(priced_groups(), st.floats(-1e3, 1e10))
def test_the_cheapest_place_is_that_which_pricing_all_would_find(
    given: tuple[Prices, list[Group]], below: float
) -> None:
    prices, (one, *others) = given
    places = dict(enumerate(others))
    costs = [prices.dearer(one, other) + one.price for other in others]
    best = min(costs, default=below)
    assert prices.cheapest(one, places) == (costs.index(best) if costs else None)
    assert prices.cheapest(one, places, below) == (costs.index(best) if best < below else None)


@given(graphs(), st.data())
def test_paths_that_are_apart_change_no_price_of_the_others(
    graph: Graph, data: st.DataObject
) -> None:
    whole = graph.closure()
    apart = data.draw(st.sets(st.sampled_from(list(whole)), max_size=len(whole) - 1))
    rest = [path for path in whole if path not in apart]
    price = Prices.of(whole).of_paths(rest).price
    assert Prices.of(whole, apart=apart).of_paths(rest).price == close(price)
