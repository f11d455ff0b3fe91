"""Many closures -> the popularity index that makes their images share layers.

Each image is planned by what the index says of the others, and the index says which layers the
images then have in common; after a few rounds they agree. At first it offers the small packages of
each group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.model.closure import Closure, StorePath
from nix2oci.plan.layers.layering import LayerHints, Plan, plan_layers
from nix2oci.plan.layers.popularity import Popularity, SharedLayer, package_of

_ROUNDS = 5


def build_popularity(
    closures: Sequence[Closure],
    budget: int | Sequence[int],
    progress: Callable[[int], None] = lambda _: None,
    known: Popularity | None = None,
) -> Popularity:
    """The index of a fleet whose images have at most `budget` store layers: all, or each its own.

    `progress` is told of plans as they are made: there are `plans(closures, budget)`. The order of
    the closures does not matter. What is `known` of other images counts as well, and of these only
    what it says.
    """
    found = Popularity.counted(closures)
    there: Counter[tuple[str, ...]] = Counter()
    if known:
        found = found.beside(known)
        there.update({layer.packages: layer.images for layer in found.layers})
    found = replace(found, layers=_distinct([*found.layers, *_offers(found)]))
    planned = [_Image(*each) for each in _crowded(closures, budget)]
    for _ in range(_ROUNDS):
        layers = there.copy()
        for image in planned:
            layers.update(image.layers(found))
            progress(1)
        shared = (
            SharedLayer(*each) for each in sorted(layers.items()) if each[1] > 1 or each[0] in there
        )
        found = replace(found, layers=tuple(shared))
    return found


def plans(closures: Sequence[Closure], budget: int | Sequence[int]) -> int:
    """How many plans `build_popularity` makes."""
    return _ROUNDS * len(_crowded(closures, budget))


def _distinct(layers: Iterable[SharedLayer]) -> tuple[SharedLayer, ...]:
    return tuple({layer.packages: layer for layer in layers}.values())


def _offers(fleet: Popularity) -> Iterator[SharedLayer]:
    """Layers to begin with: the smallest packages of a group, once all and then ever fewer.

    Images agree on layers by finding that they have the same; without offers some never meet.
    """
    for group in fleet.groups:
        images = len(group.images)
        count = len(group.packages) if images > 1 else 0
        smallest = sorted(group.packages, key=lambda name: (group.packages[name], name))
        while count > 1:
            yield SharedLayer(tuple(sorted(smallest[:count])), images)
            count = count * 2 // 3


def _crowded(closures: Sequence[Closure], budget: int | Sequence[int]) -> list[tuple[Closure, int]]:
    """Those that need a plan: where each path has a layer of its own, none is shared as a group."""
    budgets = [budget] * len(closures) if isinstance(budget, int) else budget
    images = zip(closures, budgets, strict=True)
    return [(closure, most) for closure, most in images if len(closure) > most]


class _Image:
    """An image of the fleet. It is planned again where layers that it may have became others."""

    def __init__(self, closure: Closure, budget: int) -> None:
        self._closure = closure
        self._budget = budget
        self._packages = frozenset(package_of(path.name) for path in closure)
        self._offered: tuple[SharedLayer, ...] | None = None
        self._layers: list[tuple[str, ...]] = []

    def layers(self, fleet: Popularity) -> list[tuple[str, ...]]:
        """The packages of each layer that has several."""
        offered = tuple(each for each in fleet.layers if self._packages.issuperset(each.packages))
        if offered != self._offered:
            plan = plan_layers(self._closure, self._budget, LayerHints(fleet))
            self._offered = offered
            self._layers = [
                tuple(sorted(package_of(path.name) for path in layer.paths))
                for layer in plan.layers
                if len(layer.paths) > 1
            ]
        return self._layers


class FleetLayer(Struct, frozen=True):
    """A layer that images of a fleet have, each layer of the same store paths being the same."""

    paths: tuple[StorePath, ...]
    nar_size: int
    images: tuple[str, ...]
    """The names of those that have it."""


def fleet_layers(plans: Mapping[str, Plan]) -> list[FleetLayer]:
    """The layers of images by name, those that most images have first, of these the largest."""
    found: dict[tuple[StorePath, ...], FleetLayer] = {}
    for name, plan in plans.items():
        for layer in plan.layers:
            known = found.get(layer.paths, FleetLayer(layer.paths, layer.nar_size, ()))
            found[layer.paths] = replace(known, images=(*known.images, name))
    return sorted(found.values(), key=lambda each: (-len(each.images), -each.nar_size, each.paths))


def stored_again(layers: Iterable[FleetLayer]) -> dict[StorePath, int]:
    """How many layers have each store path that several have, in the order of store paths."""
    counts = Counter(path for layer in layers for path in layer.paths)
    return {path: counts[path] for path in sorted(counts) if counts[path] > 1}
