"""Which layers the images of a fleet share, and what is stored again in others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.model.closure import StorePath
from nix2oci.plan.layers.layering import Plan


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
