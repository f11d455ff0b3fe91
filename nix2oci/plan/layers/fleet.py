"""Many closures -> the popularity index that makes their images share layers.

Each image is planned by what the index says of the others, and the index says which layers the
images then have in common; after a few rounds they agree. At first it offers the small packages of
each group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec.structs import replace

from nix2oci.model.closure import Closure
from nix2oci.plan.layers.layering import LayerHints, plan_layers
from nix2oci.plan.layers.popularity import Popularity, SharedLayer, package_of

_ROUNDS = 5


def build_popularity(
    closures: Sequence[Closure], budget: int, progress: Callable[[int], None] = lambda _: None
) -> Popularity:
    """The index of a fleet whose images have at most `budget` store layers each.

    `progress` is told of plans as they are made: there are `plans(closures, budget)`. The order of
    the closures does not matter.
    """
    found = Popularity.counted(closures)
    found = replace(found, layers=tuple(_offers(found)))
    planned = [_Image(closure) for closure in _crowded(closures, budget)]
    for _ in range(_ROUNDS):
        layers: Counter[tuple[str, ...]] = Counter()
        for image in planned:
            layers.update(image.layers(found, budget))
            progress(1)
        shared = (SharedLayer(*each) for each in sorted(layers.items()) if each[1] > 1)
        found = replace(found, layers=tuple(shared))
    return found


def plans(closures: Sequence[Closure], budget: int) -> int:
    """How many plans `build_popularity` makes."""
    return _ROUNDS * len(_crowded(closures, budget))


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


def _crowded(closures: Iterable[Closure], budget: int) -> list[Closure]:
    """Those that need a plan: where each path has a layer of its own, none is shared as a group."""
    return [closure for closure in closures if len(closure) > budget]


class _Image:
    """An image of the fleet. It is planned again where layers that it may have became others."""

    def __init__(self, closure: Closure) -> None:
        self._closure = closure
        self._packages = frozenset(package_of(path.name) for path in closure)
        self._offered: tuple[SharedLayer, ...] | None = None
        self._layers: list[tuple[str, ...]] = []

    def layers(self, fleet: Popularity, budget: int) -> list[tuple[str, ...]]:
        """The packages of each layer that has several."""
        offered = tuple(each for each in fleet.layers if self._packages.issuperset(each.packages))
        if offered != self._offered:
            plan = plan_layers(self._closure, budget, LayerHints(fleet))
            self._offered = offered
            self._layers = [
                tuple(sorted(package_of(path.name) for path in layer.paths))
                for layer in plan.layers
                if len(layer.paths) > 1
            ]
        return self._layers
