"""Many closures -> the popularity index that makes their images share layers.

Each image is planned by what the index says of the others, and the index says which layers the
images then have in common; after a few rounds they agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from nix2oci.nix.closure import Closure
from nix2oci.plan.layering import Wishes, plan_layers
from nix2oci.plan.popularity import Popularity, SharedLayer, package_of

_ROUNDS = 5


def index(
    closures: Sequence[Closure], budget: int, progress: Callable[[int], None] = lambda _: None
) -> Popularity:
    """The index of a fleet whose images have at most `budget` store layers each.

    `progress` is told each plan that is made: there are `plans(closures, budget)`. The order of
    the closures does not matter.
    """
    found = Popularity.counted(closures)
    for _ in range(_ROUNDS):
        layers: Counter[tuple[str, ...]] = Counter()
        for closure in closures:
            plan = plan_layers(closure, budget, Wishes(found))
            progress(1)
            for layer in plan.layers:
                if len(layer.paths) > 1:
                    layers[tuple(sorted(package_of(path.name) for path in layer.paths))] += 1
        shared = (SharedLayer(*each) for each in sorted(layers.items()) if each[1] > 1)
        found = replace(found, layers=tuple(shared))
    return found


def plans(closures: Sequence[Closure]) -> int:
    """How many plans `index` makes."""
    return _ROUNDS * len(closures)
