"""An index of a run joined with one of other images, and what a fleet's layers are."""

from __future__ import annotations

import pytest
from support.fakestore import store_path
from support.fleets import FLEET
from support.fleets import image as fleet_image

from nix2oci.compare.shared_layers import fleet_layers, stored_again
from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.plan.layers.fleet import build_popularity
from nix2oci.plan.layers.layering import LayerHints, plan_layers
from nix2oci.plan.layers.popularity import PackageGroup, Popularity, SharedLayer

COMMON = tuple(f"lib{letter}" for letter in "abcdefgh")


def path(name: str) -> StorePath:
    return store_path(f"{name}-1")


def closure(name: str, *libraries: str) -> Closure:
    """A root that refers to libraries, each of 1000 bytes."""
    needs = tuple(sorted(map(path, libraries)))
    infos = [PathInfo(each, bytes(32), 1000, ()) for each in needs]
    return Closure.of([PathInfo(path(name), bytes(32), 500, needs), *infos], [path(name)])


WEB, WORKER = closure("web", *COMMON), closure("worker", *COMMON, "own")


def index(*images: str, layers: tuple[SharedLayer, ...] = ()) -> Popularity:
    """Images that all have the common libraries."""
    everyone = tuple(range(len(images)))
    return Popularity.of(images, [PackageGroup(everyone, dict.fromkeys(COMMON, 2000))], layers)


def test_images_of_both_are_counted_and_each_once() -> None:
    found = Popularity.counted([WEB, WORKER]).beside(index("admin", "web", "zoo"))
    assert found.images == ("admin", "web", "worker", "zoo")
    assert found.holders("liba").bit_count() == 4
    assert found.holders("own") == 0b0100
    assert found.holders("web") == 0b0010
    sizes = {name: size for group in found.groups for name, size in group.packages.items()}
    assert (sizes["liba"], sizes["own"]) == (2000, 1000)


def test_a_layer_counts_for_the_images_that_are_not_in_the_run() -> None:
    pair = SharedLayer(("liba", "libb"), 3)
    found = Popularity.counted([WEB]).beside(index("admin", "web", "zoo", layers=(pair,)))
    assert found.layers == (SharedLayer(pair.packages, 2),)
    nobody_else = Popularity.counted([WEB]).beside(index("web", layers=(pair,)))
    assert nobody_else.layers == ()


def test_an_index_without_images_changes_nothing() -> None:
    alone = Popularity.counted([WEB, WORKER])
    assert str(alone.beside(Popularity.of((), ()))) == str(alone)


def company_layers(image: Closure, found: Popularity) -> set[tuple[StorePath, ...]]:
    """The layers of an image that have what all images have."""
    plan = plan_layers(image, 7, LayerHints(found))
    return {layer.paths for layer in plan.layers if any("common" in p.name for p in layer.paths)}


def test_images_of_a_run_take_the_layers_that_others_have() -> None:
    known = build_popularity(FLEET, 7)
    run = [fleet_image("blog", "pages", "queue"), fleet_image("chat", "audio", "mail")]
    found = build_popularity(run, 7, known=known)
    there = company_layers(FLEET[0], known)
    assert any(len(paths) > 1 for paths in there)
    assert [company_layers(image, found) for image in run] == [there, there]
    counts = {each.packages: each.images for each in found.layers}
    before = {each.packages: each.images for each in known.layers}
    assert {packages: counts[packages] - n for packages, n in before.items()} == dict.fromkeys(
        before, 2
    )


@pytest.mark.parametrize("known", [None, index("admin", "zoo")])
def test_the_order_of_the_images_does_not_show(known: Popularity | None) -> None:
    one = build_popularity([WEB, WORKER], 4, known=known)
    assert str(build_popularity([WORKER, WEB], 4, known=known)) == str(one)


def test_each_image_has_a_budget_of_its_own() -> None:
    shop, admin, _ = FLEET
    found = build_popularity([shop, admin], [7, 60])
    assert str(found) == str(build_popularity([admin, shop], [60, 7]))
    assert found.layers == ()  # the second has a layer for each path, so that none is shared
    assert build_popularity([shop, admin], 7).layers != ()


def test_layers_of_a_fleet_are_those_of_the_same_store_paths() -> None:
    found = build_popularity([WEB, WORKER], 4)
    plans = {
        name: plan_layers(each, 4, LayerHints(found))
        for name, each in (("web", WEB), ("worker", WORKER))
    }
    layers = fleet_layers(plans)
    assert layers[0].images == ("web", "worker")
    assert sum(len(layer.images) for layer in layers) == sum(
        len(plan.layers) for plan in plans.values()
    )
    paths = {p for layer in layers for p in layer.paths}
    assert paths == {*WEB, *WORKER}
    again = stored_again(layers)
    assert all(count > 1 for count in again.values())
    assert set(again) == {p for p in paths if sum(p in layer.paths for layer in layers) > 1}
