"""Store paths become groups: what is joined, what is moved, what a fleet offers."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.fakestore import store_path
from support.graphs import Graph, closure, graphs, info

from nix2oci.model.closure import Closure, StorePath
from nix2oci.plan.layers.cost import Group, Prices
from nix2oci.plan.layers.grouping import Paths, known_to_fleet, merged, settled, total
from nix2oci.plan.layers.popularity import Popularity, SharedLayer, package_of

KB, MB = 1000, 1_000_000
SMALL = tuple(f"small{n}" for n in range(4))
WHOLE = closure(
    info("app", KB, "python", *SMALL),
    info("python", 60 * MB, "libc"),
    info("libc", 30 * MB),
    *(info(name, 10 * KB, "libc") for name in SMALL),
)
PRICES = Prices.of(WHOLE)


def paths(*names: str) -> Paths:
    return tuple(store_path(name) for name in names)


def alone(whole: Closure) -> list[Paths]:
    return [(path,) for path in whole]


def sets(groups: list[Paths]) -> set[frozenset[StorePath]]:
    return {frozenset(group) for group in groups}


def test_what_costs_least_is_joined_first() -> None:
    found, joins = merged(alone(WHOLE)[1:], 3, PRICES)
    assert sets(found) == sets([paths("python"), paths("libc"), paths(*SMALL)])
    assert 0 < max(extra for extra, *_ in joins) < 40 * KB


def test_nothing_is_joined_within_the_budget() -> None:
    assert merged(alone(WHOLE), 7, PRICES) == (sorted_by_price(alone(WHOLE)), ())


def sorted_by_price(groups: list[Paths]) -> list[Paths]:
    return sorted(groups, key=lambda group: (-PRICES.of_paths(group).price, group))


@given(graphs(), st.integers(1, 12))
def test_merging_keeps_every_path_and_the_budget(graph: Graph, budget: int) -> None:
    whole = graph.closure()
    found, joins = merged(alone(whole), budget, Prices.of(whole))
    assert sorted(path for group in found for path in group) == list(whole)
    assert len(found) == min(budget, len(whole))
    assert len(joins) == len(whole) - len(found)


def joined_plainly(groups: list[Paths], budget: int, prices: Prices) -> list[Paths]:
    """The same by the price of every pair: of equal ones the first by when they were begun."""
    opened: list[tuple[int, Paths, Group]] = []
    for begun, paths in enumerate(sorted(groups, key=lambda p: (-prices.of_paths(p).price, p))):
        opened.append((begun, paths, prices.of_paths(paths)))
        if len(opened) > budget:
            _, (one, other) = min(
                (prices.dearer(later[2], earlier[2]), sorted([later, earlier]))
                for earlier, later in combinations(opened, 2)
            )
            opened = [each for each in opened if each not in (one, other)]
            opened.append((one[0], one[1] + other[1], prices.joined(one[2], other[2])))
    return [paths for _, paths, _ in opened]


@given(graphs(), st.integers(1, 12))
def test_only_some_pairs_are_priced_and_the_same_are_joined(graph: Graph, budget: int) -> None:
    whole = graph.closure()
    prices = Prices.of(whole, apart=whole.roots[1:])
    groups = [group for group in alone(whole) if group[0] in prices.alone]
    assert merged(groups, budget, prices)[0] == joined_plainly(groups, budget, prices)


@given(graphs(), st.integers(1, 12), st.data())
def test_joins_that_were_foreseen_by_other_layers_of_a_fleet_change_nothing(
    graph: Graph, budget: int, data: st.DataObject
) -> None:
    """Of a layer that many images have the price is another one, and others may be joined then."""
    whole = graph.closure()
    names = sorted({package_of(path.name) for path in whole})
    layers = st.builds(
        SharedLayer,
        st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True).map(tuple),
        st.integers(1, 9),
    )

    def priced() -> Prices:
        found = data.draw(st.lists(layers, max_size=6))
        return Prices.of(whole, replace(Popularity.counted([whole]), layers=tuple(found)))

    (_, foreseen), now = merged(alone(whole), budget, priced()), priced()
    found = merged(alone(whole), budget, now, foreseen=foreseen)
    assert found == merged(alone(whole), budget, now)
    assert found[0] == joined_plainly(alone(whole), budget, now)


@given(graphs(), st.integers(1, 12))
def test_the_order_of_groups_does_not_show(graph: Graph, budget: int) -> None:
    whole = graph.closure()
    prices = Prices.of(whole)
    one, _ = merged(alone(whole), budget, prices)
    other, _ = merged(alone(whole)[::-1], budget, prices)
    assert one == other


@given(graphs(), st.data())
def test_settling_makes_nothing_dearer_and_empties_no_group(
    graph: Graph, data: st.DataObject
) -> None:
    whole = graph.closure()
    prices = Prices.of(whole)
    cuts = data.draw(st.lists(st.integers(0, 3), min_size=len(whole), max_size=len(whole)))
    groups: dict[int, list[StorePath]] = {}
    for path, cut in zip(whole, cuts, strict=True):
        groups.setdefault(cut, []).append(path)
    before = [tuple(group) for group in groups.values()]
    after = settled(before, prices)
    assert sorted(path for group in after for path in group) == list(whole)
    assert len(after) == len(before)
    assert all(after)
    assert total(after, prices) <= total(before, prices) * (1 + 1e-9) + 1e-3


def test_a_path_that_is_in_the_wrong_group_is_moved() -> None:
    wrong = [paths("python", "small0"), paths("small1", "small2", "small3")]
    assert sets(settled(wrong, PRICES)) == sets([paths("python"), paths(*SMALL)])


def test_one_group_is_settled() -> None:
    assert settled([paths("python", "libc")], PRICES) == [paths("python", "libc")]


@pytest.mark.parametrize(
    ("layers", "room", "expected"),
    [
        pytest.param([SMALL], 50 * KB, [SMALL], id="a layer whose packages are all there"),
        pytest.param([(*SMALL, "perl")], 50 * KB, [], id="one that has a package more"),
        pytest.param([("libc", "python")], 5 * KB, [], id="one that costs more than it spares"),
        pytest.param(
            [SMALL, SMALL[:2]],
            50 * KB,
            [SMALL],
            id="two that have the same: the one that saves more",
        ),
        pytest.param(
            [SMALL[:2], SMALL[2:]],
            50 * KB,
            [SMALL[:2], SMALL[2:]],
            id="two that have nothing in common",
        ),
        pytest.param(
            [(SMALL[0], SMALL[0], SMALL[1])],
            50 * KB,
            [SMALL[:2]],
            id="a package that is there twice",
        ),
        pytest.param([], 5 * KB, [], id="no layer"),
    ],
)
def test_layers_of_the_fleet(
    layers: list[tuple[str, ...]], room: float, expected: list[tuple[str, ...]]
) -> None:
    found = known_to_fleet(layers, WHOLE, room, PRICES)
    assert sets(found) == sets([paths(*names) for names in expected])
