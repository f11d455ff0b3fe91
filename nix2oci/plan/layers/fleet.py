"""Many closures -> the popularity index that makes their images share layers.

Each image is planned by what the index says of the others, and the index says which layers the
images then have in common; after a few rounds they agree. At first it offers the small packages of
each group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from nix2oci.model.closure import Closure
from nix2oci.plan.layers.grouping import Joins
from nix2oci.plan.layers.layering import LayerHints, plan_layers
from nix2oci.plan.layers.popularity import Popularity, SharedLayer, package_of

_ROUNDS = 5

Layers = list[tuple[str, ...]]
"""The packages of each layer that has several."""
Planned = tuple[Layers, Joins]
"""What there is of a plan for the next round."""
Run = Callable[
    [Sequence[int], Callable[[int], Planned], Callable[[int], None]], Mapping[int, Planned]
]
"""What a function makes of each number; who does that may be several at a time. The last one is
told how many are done, as they are done."""


def one_by_one(
    numbers: Sequence[int], make: Callable[[int], Planned], done: Callable[[int], None]
) -> Mapping[int, Planned]:
    """A `Run` of this process."""
    made = {}
    for number in numbers:
        made[number] = make(number)
        done(1)
    return made


def build_popularity(
    closures: Sequence[Closure],
    budget: int | Sequence[int],
    progress: Callable[[int], None] = lambda _: None,
    known: Popularity | None = None,
    run: Run = one_by_one,
) -> Popularity:
    """The index of a fleet whose images have at most `budget` store layers: all, or each its own.

    `progress` is told of plans as they are made: there are `plans(closures, budget)`. The order of
    the closures does not matter. What is `known` of other images counts as well, and of these only
    what it says. The plans of a round depend on the round before alone, so that `run` may make
    several of them at a time.
    """
    found = Popularity.counted(closures)
    there: Counter[tuple[str, ...]] = Counter()
    if known:
        found = found.beside(known)
        there.update({layer.packages: layer.images for layer in found.layers})
    offered = {layer.packages: layer for layer in (*found.layers, *_offers(found))}
    found = replace(found, layers=tuple(offered.values()))
    planned = [_Image(*each) for each in _crowded(closures, budget)]
    for _ in range(_ROUNDS):
        changed = [number for number, image in enumerate(planned) if image.is_offered(found)]
        progress(len(planned) - len(changed))
        make = partial(_plan, planned, LayerHints(found))
        for number, made in run(changed, make, progress).items():
            planned[number].layers, planned[number].joins = made
        layers = there.copy()
        for image in planned:
            layers.update(image.layers)
        shared = (
            SharedLayer(*each) for each in sorted(layers.items()) if each[1] > 1 or each[0] in there
        )
        found = replace(found, layers=tuple(shared))
    return found


def plans(closures: Sequence[Closure], budget: int | Sequence[int]) -> int:
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


def _crowded(closures: Sequence[Closure], budget: int | Sequence[int]) -> list[tuple[Closure, int]]:
    """Those that need a plan: where each path has a layer of its own, none is shared as a group."""
    budgets = [budget] * len(closures) if isinstance(budget, int) else budget
    images = zip(closures, budgets, strict=True)
    return [(closure, most) for closure, most in images if len(closure) > most]


class _Image:
    """An image of the fleet. It is planned again where layers that it may have became others."""

    def __init__(self, closure: Closure, budget: int) -> None:
        self.closure = closure
        self.budget = budget
        self._packages = frozenset(package_of(path.name) for path in closure)
        self._offered: tuple[SharedLayer, ...] | None = None
        self.layers: Layers = []
        self.joins: Joins = ()

    def is_offered(self, fleet: Popularity) -> bool:
        """Whether it has to be planned, as its offers are others than the last time."""
        offered = tuple(each for each in fleet.layers if self._packages.issuperset(each.packages))
        before, self._offered = self._offered, offered
        return offered != before


def _plan(images: Sequence[_Image], hints: LayerHints, number: int) -> Planned:
    image = images[number]
    plan = plan_layers(image.closure, image.budget, hints, foreseen=image.joins)
    layers = [
        tuple(sorted(package_of(path.name) for path in layer.paths))
        for layer in plan.layers
        if len(layer.paths) > 1
    ]
    return layers, plan.joins
