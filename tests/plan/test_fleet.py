"""The index of a fleet: images that are planned by it have layers in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakestore import store_path
from support.fleets import COMPANY, FLEET, KB, MB, image
from support.graphs import closure, graphs, info

from nix2oci.host.sharing import share_out
from nix2oci.model.closure import Closure, PathInfo
from nix2oci.plan.layers.fleet import Planned, build_popularity, plans
from nix2oci.plan.layers.layering import LayerHints, plan_layers
from nix2oci.plan.layers.popularity import Popularity, SharedLayer


def layers(closure: Closure, budget: int, fleet: Popularity) -> set[frozenset[str]]:
    """The store paths of each layer, by their whole names."""
    plan = plan_layers(closure, budget, LayerHints(fleet))
    return {frozenset(map(str, layer.paths)) for layer in plan.layers}


def test_images_that_have_a_company_have_it_in_the_same_layers() -> None:
    fleet = build_popularity(FLEET, 7)
    company = {str(store_path(name)) for name in COMPANY}
    found = [{each for each in layers(one, 7, fleet) if each & company} for one in FLEET]
    assert found[0] == found[1] == found[2]
    assert all(each <= company for each in found[0])
    assert any(len(each) > 1 for each in found[0])


def test_a_layer_says_by_how_many_images_it_is_shared() -> None:
    fleet = build_popularity(FLEET, 7)
    plan = plan_layers(FLEET[0], 7, LayerHints(fleet))
    shared = {layer.paths: layer.shared_by for layer in plan.layers}
    assert shared[(store_path("libc"),)] == 3
    assert shared[(store_path("shop"),)] == 1
    together = [layer for layer in plan.layers if len(layer.paths) > 1]
    assert {layer.shared_by for layer in together} == {3}
    assert {each.images for each in fleet.layers} == {3}


def test_an_image_that_the_index_does_not_know_has_the_layers_too() -> None:
    fleet = build_popularity(FLEET, 7)
    company = {str(store_path(name)) for name in COMPANY}
    known = {each for each in layers(FLEET[0], 7, fleet) if each & company}
    newcomer = image("newcomer", "video", "radio")
    assert {each for each in layers(newcomer, 7, fleet) if each & company} == known


@pytest.mark.parametrize("forks", [True, False], ids=["processes", "threads"])
def test_several_at_a_time_agree_on_the_same_layers(*, forks: bool) -> None:
    told: list[int] = []

    def run(
        numbers: Sequence[int], make: Callable[[int], Planned], done: Callable[[int], None]
    ) -> Mapping[int, Planned]:
        return share_out(
            *(numbers, lambda number, _: make(number), 2, lambda _: None),
            forks=forks,
            purpose="plan layers",
            on_done=lambda _: done(1),
        )

    assert build_popularity(FLEET, 7, told.append, run=run) == build_popularity(FLEET, 7)
    assert sum(told) == plans(FLEET, 7)


def test_an_image_that_fits_the_budget_needs_no_plan() -> None:
    told: list[int] = []
    small = closure(info("app", 1, "libc"), info("libc", 30 * MB))
    found = build_popularity([small, *FLEET], 7, told.append)
    assert plans([small, *FLEET], 7) == plans(FLEET, 7) == sum(told) == 15
    assert found.images == ("admin", "app", "shop", "worker")
    assert plans(FLEET, 64) == 0
    assert build_popularity(FLEET, 64).layers == ()


def test_a_fleet_of_one_shares_with_nobody() -> None:
    assert build_popularity(FLEET[:1], 7).layers == ()


def test_two_versions_of_a_package_in_one_layer_are_planned_once_each() -> None:
    """They are one package of the index, and two paths."""

    def twins(name: str) -> Closure:
        more = tuple(f"small{n}" for n in range(5))
        return closure(
            info(name, MB, "lib-1", "lib-2", *more),
            *(info(each, KB) for each in ("lib-1", "lib-2", *more)),
            roots=(name,),
        )

    pair = [twins("one"), twins("two")]
    fleet = build_popularity(pair, 3)
    assert any(layer.packages.count("lib") == 2 for layer in fleet.layers)
    for each in pair:
        plan = plan_layers(each, 3, LayerHints(fleet))
        assert sorted(path for layer in plan.layers for path in layer.paths) == list(each)


def test_a_layer_of_the_index_that_no_image_has_does_no_harm() -> None:
    fleet = Popularity.of((), (), [SharedLayer(("common1", "perl"), 9), SharedLayer(("libc",), 2)])
    plan = plan_layers(FLEET[0], 5, LayerHints(fleet))
    assert sorted(path for layer in plan.layers for path in layer.paths) == list(FLEET[0])


@pytest.mark.parametrize("budget", [1, 2, 7, 63])
def test_the_order_of_the_images_does_not_show(budget: int) -> None:
    assert str(build_popularity(FLEET[::-1], budget)) == str(build_popularity(FLEET, budget))


@given(
    st.lists(graphs(), min_size=1, max_size=4),
    st.integers(1, 8),
    st.randoms(use_true_random=False),
)
def test_the_order_of_any_images_does_not_show(found: list[Any], budget: int, random: Any) -> None:
    closures: list[Closure] = [graph.closure() for graph in found]
    fleet = build_popularity(closures, budget)
    assert str(build_popularity(random.sample(closures, len(closures)), budget)) == str(fleet)
    assert Popularity.parse(str(fleet), "x") == fleet


@given(st.lists(graphs(), min_size=2, max_size=4), st.integers(1, 8))
def test_any_plan_by_an_index_is_a_partition_within_the_budget(
    found: list[Any], budget: int
) -> None:
    closures: list[Closure] = [graph.closure() for graph in found]
    fleet = build_popularity(closures, budget)
    for each in closures:
        plan = plan_layers(each, budget, LayerHints(fleet))
        assert sorted(path for layer in plan.layers for path in layer.paths) == list(each)
        assert 1 <= len(plan.layers) <= budget
        assert all(layer.shared_by is not None for layer in plan.layers)


@given(graphs(), st.integers(2, 8))
def test_images_that_differ_in_the_app_alone_share_all_else(graph: Any, budget: int) -> None:
    one = graph.closure()
    roots = {root: store_path(f"other-{root.name}") for root in one.roots}

    def renamed(info: PathInfo) -> PathInfo:
        references = tuple(sorted(roots.get(to, to) for to in info.references))
        return PathInfo(roots.get(info.path, info.path), bytes(32), info.nar_size, references)

    other = Closure.of(map(renamed, one.infos.values()), roots.values())
    fleet = build_popularity([one, other], budget)
    apps = {str(path) for path in (*one.roots, *other.roots)}
    mine, theirs = (layers(each, budget, fleet) for each in (one, other))
    assert {each for each in mine if not each & apps} == {e for e in theirs if not e & apps}
