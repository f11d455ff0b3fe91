"""What plans cost, exactly: bytes that a registry stores, and bytes that are pushed again.

A registry stores a layer once for all images that have the very same paths in it. A change of a
path changes the hashes of all that refers to it, transitively; a layer that holds one of them is
pushed again, whole. Planners look at hashes only to break ties, so that one plan of a closure
answers for every change that leaves sizes and references as they are: `after` asks for a second
plan, and tests/bench/test_layering_metrics.py compares the two. Every figure is a ratio of two sums
over all images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from bench.layering.published import Layers, Planner

from nix2oci.model.closure import Closure, StorePath
from nix2oci.plan.layers.popularity import package_of

COMMON = ("libssl", "libssl3", "libssl3t64")
"""OpenSSL's library, as it is called in either fleet: most images have it."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a planner comes to on a fleet; 1.0 is the least that is possible."""

    registry: float
    """Bytes of all distinct layers over bytes of all distinct store paths."""
    app: float
    """Bytes pushed again over bytes changed, where the roots change."""
    random: float
    """The same where any one path changes, all paths of an image being equally likely."""
    common: float
    """The same where OpenSSL changes, over the images that have it; 1.0 if none has."""

    @property
    def sum(self) -> float:
        return self.registry + self.app + self.random + self.common


@dataclass(slots=True)
class _Pushes:
    """Bytes that are pushed again, and bytes that changed."""

    pushed: float = 0.0
    changed: float = 0.0

    def add(self, pushed: float, changed: float) -> None:
        self.pushed += pushed
        self.changed += changed

    @property
    def ratio(self) -> float:
        return self.pushed / self.changed if self.changed else 1.0


@dataclass(frozen=True, slots=True)
class Image:
    """A closure by numbers; sets of its paths are the bits of integers."""

    closure: Closure
    bit: Mapping[StorePath, int]
    reach: Mapping[StorePath, int]
    users: Mapping[StorePath, int]

    @classmethod
    def of(cls, closure: Closure) -> Image:
        bit = {path: 1 << n for n, path in enumerate(closure)}
        return cls(closure, bit, closure.reach(bit), closure.users(bit))

    def changed_by(self, paths: Iterable[StorePath]) -> int:
        """What gets another hash where these paths change."""
        return reduce(or_, (self.users[path] for path in paths), 0)

    def size(self, paths: Iterable[StorePath]) -> int:
        return sum(self.closure.infos[path].nar_size for path in paths)

    def among(self, changed: int, paths: Iterable[StorePath]) -> int:
        """The set of those paths that changed; 0 if none has."""
        return changed & sum(self.bit[path] for path in paths)


def images(fleet: Iterable[Closure]) -> tuple[Image, ...]:
    """A fleet, ready to be measured."""
    return tuple(map(Image.of, fleet))


def planned(planner: Planner, fleet: Iterable[Image], budget: int) -> tuple[Layers, ...]:
    """The plan of each image."""
    return tuple(planner(image.closure, budget) for image in fleet)


def measured(fleet: Sequence[Image], plans: Sequence[Layers]) -> Figures:
    """The figures of the plans of a fleet."""
    app, random, common = _Pushes(), _Pushes(), _Pushes()
    for image, layers in zip(fleet, plans, strict=True):
        _any_changes(image, layers, random)
        app.add(*change(image, layers, image.closure.roots))
        openssl = [path for path in image.closure if package_of(path.name) in COMMON]
        common.add(*change(image, layers, openssl))
    registry = stored(zip((image.closure for image in fleet), plans, strict=True))
    return Figures(registry, app.ratio, random.ratio, common.ratio)


def stored(plans: Iterable[tuple[Closure, Layers]]) -> float:
    """Bytes of all distinct layers over bytes of all distinct store paths."""
    layers: dict[frozenset[StorePath], int] = {}
    paths: dict[StorePath, int] = {}
    for closure, plan in plans:
        sizes = {path: info.nar_size for path, info in closure.infos.items()}
        paths.update(sizes)
        layers.update({frozenset(layer): sum(sizes[path] for path in layer) for layer in plan})
    return sum(layers.values()) / sum(paths.values())


def after(plans: Iterable[tuple[Layers, Closure, Layers]]) -> float:
    """Bytes pushed over bytes changed, from plans to the plans of a later state of the closures.

    A layer that the image had before is not pushed; a path that it had before has not changed.
    """
    sums = _Pushes()
    for earlier, closure, layers in plans:
        had = {frozenset(layer) for layer in earlier}
        known = {path for layer in earlier for path in layer}
        sizes = {path: info.nar_size for path, info in closure.infos.items()}
        pushed = sum(sizes[p] for layer in layers if frozenset(layer) not in had for p in layer)
        sums.add(pushed, sum(size for path, size in sizes.items() if path not in known))
    return sums.ratio


def change(image: Image, layers: Layers, paths: Iterable[StorePath]) -> tuple[int, int]:
    """Bytes pushed again and bytes changed where some paths change at once."""
    changed = image.changed_by(paths)
    pushed = sum(image.size(layer) for layer in layers if image.among(changed, layer))
    return pushed, image.size(path for path, bit in image.bit.items() if changed & bit)


def _any_changes(image: Image, layers: Layers, sums: _Pushes) -> None:
    """The expectation over all paths: a layer is pushed for as many as its paths refer to."""
    paths = len(image.closure)
    pushed = sum(
        image.size(layer) * reduce(or_, (image.reach[path] for path in layer)).bit_count()
        for layer in layers
    )
    changed = sum(
        info.nar_size * image.reach[path].bit_count() for path, info in image.closure.infos.items()
    )
    sums.add(pushed / paths, changed / paths)
