"""Plans: every path once, within the budget, the same on every machine and for every order."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.fakestore import store_path
from support.graphs import Graph, closure, graphs, info, names

from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.plan.layers import layering
from nix2oci.plan.layers.cost import Floor, Group, Prices
from nix2oci.plan.layers.grouping import MOST_COMPARED, merged, settled
from nix2oci.plan.layers.layering import LayerPlan, plan_layers, store_layers

KB, MB = 1000, 1_000_000
SMALL = [f"small{n}" for n in range(8)]


def web() -> Closure:
    """An application with one large, some middle and many small paths."""
    return closure(
        info("app", 500, "python", "openssl", *SMALL),
        info("python", 60 * MB, "glibc", "openssl", "zlib"),
        info("openssl", 6 * MB, "glibc"),
        info("zlib", 120 * KB, "glibc"),
        info("glibc", 30 * MB, "libidn"),
        info("libidn", 300 * KB),
        *(info(name, 10 * KB, "glibc") for name in SMALL),
    )


def test_with_a_large_budget_every_path_is_alone_and_the_app_last() -> None:
    assert names(plan_layers(web(), 64)) == [
        *(["libidn"], ["glibc"], ["openssl"], ["zlib"], ["python"]),
        *([name] for name in SMALL),
        ["app"],
    ]


def test_a_small_budget_keeps_large_paths_alone_and_puts_small_ones_together() -> None:
    assert names(plan_layers(web(), 8)) == [
        *(["libidn"], ["glibc"], ["openssl"], ["zlib"], ["python"]),
        ["small0", "small1", "small4", "small6"],
        ["small2", "small3", "small5", "small7"],
        ["app"],
    ]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        pytest.param(1, [["app", "b", "c"]], id="one layer has all"),
        pytest.param(2, [["b", "c"], ["app"]], id="two: the app, and the rest"),
        pytest.param(3, [["c"], ["b"], ["app"]], id="three: each alone"),
        pytest.param(127, [["c"], ["b"], ["app"]], id="no more layers than paths"),
    ],
)
def test_a_chain_of_three(budget: int, expected: list[list[str]]) -> None:
    chain = closure(info("app", 1, "b"), info("b", 10, "c"), info("c", 10))
    assert names(plan_layers(chain, budget)) == expected


def test_several_roots_share_the_last_layer() -> None:
    both = closure(info("b", 1, "lib"), info("a", 2, "lib"), info("lib", 5), roots=("b", "a"))
    assert names(plan_layers(both, 64)) == [["lib"], ["a", "b"]]


def test_an_app_without_references_is_one_layer() -> None:
    assert names(plan_layers(closure(info("app", 5)), 64)) == [["app"]]


def test_nothing_but_roots_is_one_layer() -> None:
    two = closure(info("a", 1), info("b", 1), roots=("a", "b"))
    assert names(plan_layers(two, 64)) == [["a", "b"]]


def test_a_layer_says_its_size_and_its_popularity() -> None:
    two = closure(info("app", 1, "b", "c"), info("b", 10, "c"), info("c", 20))
    assert plan_layers(two, 2).layers == (
        LayerPlan((store_path("b"), store_path("c")), 30, 3, 0.952381, None),
        LayerPlan((store_path("app"),), 1, 1, 0.047619, None),
    )


def test_paths_of_no_size_are_planned() -> None:
    empty = closure(info("app", 0, *"bcdefgh"), *(info(name, 0) for name in "bcdefgh"))
    plan = plan_layers(empty, 4)
    assert sorted(sum(names(plan), [])) == ["app", *"bcdefgh"]  # noqa: RUF017
    assert len(plan.layers) <= 4


@pytest.mark.parametrize(
    ("max_layers", "budget"),
    [
        pytest.param(1, 1, id="one layer has store paths and view"),
        pytest.param(2, 1, id="two: one for each"),
        pytest.param(64, 63, id="the last of many is the view's"),
        pytest.param(127, 126, id="the most"),
    ],
)
def test_the_last_layer_of_an_image_is_the_views(max_layers: int, budget: int) -> None:
    assert store_layers(max_layers) == budget


BUDGETS = st.integers(1, 30)


def users(closure: Closure) -> dict[StorePath, int]:
    """How many paths use each path, itself included."""
    bits = closure.users({path: 1 << n for n, path in enumerate(closure)})
    return {path: found.bit_count() for path, found in bits.items()}


@given(graphs(), BUDGETS)
def test_a_plan_is_a_partition_within_the_budget(graph: Graph, budget: int) -> None:
    closure = graph.closure()
    layers = plan_layers(closure, budget).layers
    paths = [path for layer in layers for path in layer.paths]
    assert sorted(paths) == list(closure)
    assert 1 <= len(layers) <= budget
    assert all(layer.paths for layer in layers)
    for layer in layers:
        assert list(layer.paths) == sorted(layer.paths)
        assert layer.nar_size == sum(closure.infos[path].nar_size for path in layer.paths)
        assert layer.popularity == max(users(closure)[path] for path in layer.paths)


@given(graphs(), BUDGETS)
def test_the_budget_is_used(graph: Graph, budget: int) -> None:
    """Where it holds every path, each but the roots is alone."""
    closure = graph.closure()
    rest = len(closure) - len(closure.roots)
    if budget > rest:
        layers = plan_layers(closure, budget).layers
        assert len(layers) == (rest + 1 if budget > 1 else 1)


@given(graphs(), st.integers(2, 30))
def test_the_roots_are_last_and_have_a_layer_of_their_own(graph: Graph, budget: int) -> None:
    closure = graph.closure()
    layers = plan_layers(closure, budget).layers
    assert set(layers[-1].paths) == set(closure.roots)


@given(graphs(), BUDGETS)
def test_the_most_popular_layers_are_lowest_then_names_decide(graph: Graph, budget: int) -> None:
    layers = plan_layers(graph.closure(), budget).layers[:-1]
    ranks = [(-layer.popularity, layer.paths) for layer in layers]
    assert ranks == sorted(ranks)


@given(graphs(), BUDGETS)
def test_the_order_of_the_input_does_not_show(graph: Graph, budget: int) -> None:
    one = plan_layers(graph.closure(), budget)
    assert plan_layers(graph.closure(backwards=True), budget) == one
    assert plan_layers(graph.closure(), budget) == one


@given(graphs(), BUDGETS)
def test_a_new_hash_of_an_unchanged_name_keeps_its_place(graph: Graph, budget: int) -> None:
    one = plan_layers(graph.closure(), budget)
    assert names(plan_layers(graph.closure(salt="rebuilt"), budget)) == names(one)


def test_paths_of_one_name_are_told_apart_by_hash_part() -> None:
    """A closure may hold two versions that are called the same."""
    ones = [store_path("lib", salt=str(n)) for n in range(6)]
    infos = [PathInfo(path, bytes(32), 10, ()) for path in ones]
    app = PathInfo(store_path("app"), bytes(32), 1, tuple(sorted(ones)))
    plan = plan_layers(Closure.of([app, *infos], [app.path]), 3)
    assert plan == plan_layers(Closure.of([*reversed(infos), app], [app.path]), 3)
    assert sorted(path for layer in plan.layers for path in layer.paths) == sorted(
        [app.path, *ones]
    )


def many(count: int) -> Closure:
    """A large closure in which every path refers to some of those after it."""
    paths = [store_path(f"p{n}") for n in range(count)]
    infos = [
        PathInfo(
            path,
            bytes(32),
            n * 7919 % 10**6,
            tuple(sorted({paths[to] for k in range(6) if (to := n + 1 + n * k % 97) < count})),
        )
        for n, path in enumerate(paths)
    ]
    return Closure.of(infos, [paths[0], *_unneeded(infos)])


def _unneeded(infos: list[PathInfo]) -> list[StorePath]:
    needed = {reference for info in infos for reference in info.references}
    return [info.path for info in infos if info.path not in needed]


@pytest.mark.parametrize(
    ("count", "budget"),
    [
        pytest.param(1_000, 63, id="a thousand"),
        pytest.param(2_100, 63, id="two thousand"),
        pytest.param(10_000, 3, id="ten thousand"),
    ],
)
def test_many_paths_are_planned(count: int, budget: int) -> None:
    """How long it takes is measured: `./dev bench-layering`."""
    closure = many(count)
    layers = plan_layers(closure, budget).layers
    assert len(layers) == budget
    assert sorted(path for layer in layers for path in layer.paths) == list(closure)


class Counted(Prices, frozen=True):
    """Prices that count how often a group is compared with another."""

    done: ClassVar[int] = 0

    def dearer(self, one: Group, other: Group) -> float:
        Counted.done += 1
        return Prices.dearer(self, one, other)

    def near(self, one: Floor, others: Mapping[int, Floor], until: float) -> list[int]:
        Counted.done += len(others)
        return Prices.near(self, one, others, until)

    def dearer_at_least(self, one: Group, others: Collection[Group]) -> list[float]:
        Counted.done += len(others)
        return Prices.dearer_at_least(self, one, others)


def comparisons(count: int, groups: int) -> tuple[int, int]:
    """How often two groups are compared while paths are joined to groups, then while they move."""
    closure, Counted.done = many(count), 0
    prices = Counted.of(closure)
    found, _ = merged([(path,) for path in closure], groups, prices)
    joining, Counted.done = Counted.done, 0
    settled(found, prices)
    return joining, Counted.done


@pytest.mark.parametrize("room", [20, 21])
def test_where_every_path_has_a_layer_nothing_is_compared(room: int) -> None:
    closure, Counted.done = many(20), 0
    groups, _ = layering._grouped(list(closure), room, Counted.of(closure), None)
    assert (groups, Counted.done) == ([(path,) for path in closure], 0)


def test_twice_as_many_paths_are_joined_with_twice_as_many_comparisons() -> None:
    half, whole = comparisons(300, 8)[0], comparisons(600, 8)[0]
    assert half < 300 * 8 * 4
    assert whole < 2.1 * half


def test_joins_that_were_foreseen_are_hardly_compared() -> None:
    closure = many(300)
    groups, prices = [(path,) for path in closure], Counted.of(closure)
    Counted.done = 0
    found = merged(groups, 8, prices)
    alone, Counted.done = Counted.done, 0
    assert merged(groups, 8, prices, foreseen=found[1]) == found
    assert Counted.done < alone / 4


def test_paths_of_large_closures_are_moved_as_often_as_the_time_allows() -> None:
    assert 0.2 < comparisons(3_000, 250)[1] / MOST_COMPARED < 1.1


def test_a_size_that_changes_a_little_keeps_the_groups() -> None:
    """A rebuild of one path moves that path, not its neighbours."""
    before = web()
    infos = [
        replace(
            before.infos[path], nar_size=before.infos[path].nar_size + 16 * (path.name == "zlib")
        )
        for path in before
    ]
    after = Closure.of(infos, before.roots)
    assert names(plan_layers(after, 8)) == names(plan_layers(before, 8))
