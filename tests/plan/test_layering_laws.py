"""Laws of plans: what a change of the closure may change, and what the user's wishes do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakestore import store_path
from support.graphs import Graph, closure, graphs, info, names

from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.plan.layers.layering import (
    LayerHints,
    Plan,
    PreviousPlan,
    ReusedPlan,
    plan_layers,
    unmatched,
)

MB = 1_000_000
BUDGETS = st.integers(1, 30)
TIGHT = st.integers(2, 6)


def changed(whole: Closure, names: Collection[str]) -> Closure:
    """The closure with a new hash of some paths, and so of all that refer to them."""
    bit = {path: 1 << number for number, path in enumerate(whole)}
    wanted = sum(bit[path] for path in whole if path.name in names)
    reach = whole.reach(bit)
    new = {
        path: store_path(path.name, salt="new") if reach[path] & wanted else path for path in whole
    }
    infos = (
        replace(
            whole.infos[path],
            path=new[path],
            references=tuple(sorted(new[to] for to in whole.infos[path].references)),
        )
        for path in whole
    )
    return Closure.of(infos, [new[root] for root in whole.roots])


def users(whole: Closure, name: str) -> frozenset[str]:
    """The names of what refers to a path, transitively, itself included."""
    bit = {path: 1 << number for number, path in enumerate(whole)}
    (found,) = (path for path in whole if path.name == name)
    return frozenset(path.name for path, mine in bit.items() if whole.users(bit)[found] & mine)


def with_one_more(whole: Closure) -> Closure:
    """The closure with a path that only the first root refers to, and that refers to nothing."""
    more = PathInfo(store_path("more"), bytes(32), 5 * MB, ())
    root = whole.infos[whole.roots[0]]
    root = replace(root, references=tuple(sorted([*root.references, more.path])))
    return Closure.of([*({**whole.infos, root.path: root}).values(), more], whole.roots)


@given(graphs(), BUDGETS, st.integers(0, 23))
def test_a_change_moves_only_layers_that_hold_what_uses_it(
    graph: Graph, budget: int, number: int
) -> None:
    before = graph.closure()
    name = f"p{number % len(graph.sizes)}"
    after = plan_layers(changed(before, [name]), budget)
    touched = users(before, name)
    kept = {
        layer.paths
        for layer in plan_layers(before, budget).layers
        if touched.isdisjoint(path.name for path in layer.paths)
    }
    assert kept <= {layer.paths for layer in after.layers}


@given(graphs(), BUDGETS, st.integers(0, 23))
def test_a_new_hash_moves_no_path_to_another_layer(graph: Graph, budget: int, number: int) -> None:
    before = graph.closure()
    after = changed(before, [f"p{number % len(graph.sizes)}"])
    assert names(plan_layers(after, budget)) == names(plan_layers(before, budget))


@given(graphs(), BUDGETS)
def test_what_nothing_shares_leaves_the_other_layers_in_their_order(
    graph: Graph, budget: int
) -> None:
    before = plan_layers(graph.closure(), budget).layers
    after = plan_layers(with_one_more(graph.closure()), budget).layers
    mine = [layer.paths for layer in before]
    theirs = [layer.paths for layer in after]
    assert [paths for paths in mine if paths in theirs] == [
        paths for paths in theirs if paths in mine
    ]


# --- what is stable, what is volatile ----------------------------------------------------------


@given(graphs(), st.integers(2, 30), st.integers(0, 23))
def test_what_is_volatile_is_in_the_last_layer_with_all_that_uses_it(
    graph: Graph, budget: int, number: int
) -> None:
    whole = graph.closure()
    name = f"p{number % len(graph.sizes)}"
    plan = plan_layers(whole, budget, LayerHints(volatile=(name,)))
    roots = {root.name for root in whole.roots}
    assert {path.name for path in plan.layers[-1].paths} == users(whole, name) | roots


@given(graphs(), BUDGETS)
def test_a_plan_by_any_wishes_is_a_partition_within_the_budget(graph: Graph, budget: int) -> None:
    whole = graph.closure()
    earlier = PreviousPlan("x", (("p3", "p4", "gone"), ("p5",), ("p6-1.0", "p0")))
    plan = plan_layers(whole, budget, LayerHints(None, earlier, ("p1", "p2"), ("p7",)))
    assert sorted(path for layer in plan.layers for path in layer.paths) == list(whole)
    assert len(plan.layers) <= budget


def server() -> Closure:
    return closure(
        info("app", MB, "framework", "assets"),
        info("framework", 20 * MB, "libc-2.39"),
        info("assets", 3 * MB, "tool"),
        info("tool", 9 * MB, "libc-2.39"),
        info("libc-2.39", 30 * MB),
    )


def test_a_stable_leaf_risks_nothing() -> None:
    def risks(*stable: str) -> dict[str, float]:
        plan = plan_layers(server(), 8, LayerHints(stable=stable))
        return {layer.paths[0].name: layer.risk for layer in plan.layers}

    assert risks()["libc-2.39"] > 0
    assert risks("libc")["libc-2.39"] == risks("libc-2.39")["libc-2.39"] == 0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(("libc",), (), id="a package"),
        pytest.param(("libc-2.39",), (), id="a store path"),
        pytest.param(("libc-2.38", "tool"), ("libc-2.38",), id="another version"),
        pytest.param(("glib", "app", "nix"), ("glib", "nix"), id="names that nothing has"),
    ],
)
def test_names_that_no_path_has(given: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert unmatched(server(), given) == expected


# --- an earlier plan that is kept --------------------------------------------------------------


def as_earlier(plan: Plan, where: str = "old") -> PreviousPlan:
    return PreviousPlan(
        where, tuple(tuple(path.name for path in each.paths) for each in plan.layers)
    )


@given(graphs(), TIGHT, st.lists(st.sampled_from([0, 1, 500, 10**8]), min_size=24, max_size=24))
def test_with_a_kept_plan_other_sizes_move_no_path(
    graph: Graph, budget: int, sizes: list[int]
) -> None:
    """The best plan is another one, and is not made."""
    before = plan_layers(graph.closure(), budget)
    after = replace(graph, sizes=tuple(sizes[: len(graph.sizes)])).closure()
    kept = plan_layers(after, budget, LayerHints(earlier=as_earlier(before)))
    assert names(kept) == names(before)
    assert kept.kept
    assert kept.kept.excess >= 0


@given(graphs(), TIGHT)
def test_with_a_kept_plan_one_more_path_moves_no_other(graph: Graph, budget: int) -> None:
    before = plan_layers(graph.closure(), budget)
    after = plan_layers(
        with_one_more(graph.closure()), budget, LayerHints(earlier=as_earlier(before))
    )
    old = {layer.paths for layer in before.layers}
    new = [layer for layer in after.layers if layer.paths not in old]
    assert [path.name for layer in new for path in layer.paths if path.name == "more"] == ["more"]
    assert len(new) == 1
    assert {layer.paths for layer in after.layers if layer not in new} <= old


@given(graphs(), TIGHT)
def test_the_plan_of_the_same_closure_is_kept_for_nothing(graph: Graph, budget: int) -> None:
    plan = plan_layers(graph.closure(), budget)
    again = plan_layers(graph.closure(), budget, LayerHints(earlier=as_earlier(plan)))
    assert again.layers == plan.layers
    assert again.kept == ReusedPlan("old", 0.0)


@given(graphs(), TIGHT)
def test_with_a_kept_plan_a_path_that_goes_moves_no_other(graph: Graph, budget: int) -> None:
    before = plan_layers(with_one_more(graph.closure()), budget)
    after = plan_layers(graph.closure(), budget, LayerHints(earlier=as_earlier(before)))
    left = [[name for name in layer if name != "more"] for layer in names(before)]
    assert sorted(names(after)) == sorted(layer for layer in left if layer)


def test_a_new_version_stays_where_its_package_was() -> None:
    earlier = PreviousPlan("old", (("libc-2.38", "tool"), ("framework",), ("assets",), ("app",)))
    kept = plan_layers(server(), 5, LayerHints(earlier=earlier))
    assert ["libc-2.39", "tool"] in names(kept)


def test_an_earlier_plan_of_more_layers_is_joined() -> None:
    earlier = as_earlier(plan_layers(server(), 64))
    assert len(plan_layers(server(), 3, LayerHints(earlier=earlier)).layers) == 3


def test_a_plan_that_is_kept_may_cost_more() -> None:
    poor = PreviousPlan("old.json", (("libc-2.39", "framework"), ("tool", "assets"), ("app",)))
    kept = plan_layers(server(), 8, LayerHints(earlier=poor)).kept
    assert kept
    assert kept.where == "old.json"
    assert kept.excess > 0.1


def test_paths_of_one_name_stay_together() -> None:
    """Two versions that are called the same cannot be told apart by name."""
    twins = [store_path("lib", salt=salt) for salt in "ab"]
    infos = [PathInfo(path, bytes(32), MB, ()) for path in twins]
    other = PathInfo(store_path("other"), bytes(32), MB, ())
    references = tuple(sorted([*twins, other.path]))
    app = PathInfo(store_path("app"), bytes(32), MB, references)
    whole = Closure.of([*infos, other, app], [app.path])
    plan = plan_layers(
        whole, 3, LayerHints(earlier=PreviousPlan("old", (("lib",), ("other",), ("app",))))
    )
    assert names(plan) == [["lib", "lib"], ["other"], ["app"]]


def test_the_paths_are_those_of_the_closure() -> None:
    plan = plan_layers(
        server(), 4, LayerHints(earlier=PreviousPlan("old", (("libc-2.39", "gone"),)))
    )
    found: list[StorePath] = sorted(path for layer in plan.layers for path in layer.paths)
    assert found == list(server())
