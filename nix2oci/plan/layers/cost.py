"""What it costs to keep store paths in one layer, in bytes that are expected to move or be stored.

A layer moves when one of its paths changes, or one that those refer to. It is stored once for all
images that have the very same layer, and again for each that has not. Neither chance is known, so
both are counted: the first over the closure, the second over a fleet of images where there is an
index of one. Without one, every path of the closure stands for an image that somebody might build
of it: what many paths of one closure use, many images use. docs/layering.md has the figures.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from functools import reduce
from typing import NamedTuple

from msgspec import Struct

from nix2oci.model.closure import Closure, StorePath
from nix2oci.plan.layers.popularity import Popularity, mark_of, package_of

STORED_IF_GUESSED = 0.3
"""What a byte that is stored once more weighs against one that moves, where sharing is guessed."""

STORED_IF_COUNTED = 0.8
"""The same where an index has counted who shares what."""

_ALIKE = 0.7
"""How far the same users promise the same layer: other images have other paths to group."""

_NEW_TO_FLEET = 0.25
"""How much of the guess stands for a package that no image of the index has."""


class Group(NamedTuple):
    """Store paths that might form a layer; sizes in bytes, sets as the bits of an integer."""

    size: int
    reach: int
    """The set of what a change of moves the layer: what the paths refer to, transitively,
    themselves included, as far as it may change."""
    every: int
    """The set of users that all of the paths have."""
    some: int
    """The set of users that any of them has."""
    again: float
    """Bytes that are stored once more if no other image has this layer."""
    part: float
    """Bytes that would be this image's part of what is stored if each path had a layer."""
    mark: int
    """The sum of the packages' marks: tells sets of packages apart, in whatever order they join."""
    price: float


class Prices(Struct, frozen=True):
    """The prices of the layers of one closure. Make them with `Prices.of`."""

    alone: Mapping[StorePath, Group]
    """Each path as a layer of its own."""
    number: int
    """How many paths may change; never 0."""
    stored: float
    """What a byte that is stored once more weighs against one that moves."""
    known: Mapping[int, int]
    """How many images of the fleet have a layer, by its mark."""

    @classmethod
    def of(
        cls, closure: Closure, fleet: Popularity | None = None, stable: Collection[StorePath] = ()
    ) -> Prices:
        """Count over a closure, and over a fleet if there is one; `stable` paths never change."""
        order = closure.references_first()
        bit = {path: 1 << i for i, path in enumerate(order)}  # few bits for what is at the bottom
        changing = sum(bit[path] for path in closure if path not in stable)
        changing = changing or bit[next(iter(closure))]
        number = changing.bit_count()
        reach = closure.reach(bit)
        users = closure.users({path: 1 << i for i, path in enumerate(reversed(order))})
        outside = fleet.outside(closure.roots) if fleet else 0
        alone = {}
        for path, info in closure.infos.items():
            package, using = package_of(path.name), users[path]
            holders = _guess(using.bit_count())
            if fleet and (images := fleet.holders(package)):
                using, holders = images, images.bit_count() + outside
            elif fleet:  # its users are paths, no images: no package has both
                using, holders = using << len(fleet.images), 1 + _NEW_TO_FLEET * (holders - 1)
            size, part = info.nar_size, info.nar_size / holders
            changes = reach[path] & changing
            moved = _moved(size, changes, number)
            mark = mark_of([package])
            alone[path] = Group(size, changes, using, using, size - part, part, mark, moved)
        layers = fleet.layers if fleet else ()
        known = {mark_of(layer.packages): layer.images + outside for layer in layers}
        weight = STORED_IF_COUNTED if fleet else STORED_IF_GUESSED
        return cls(alone, number, weight, known)

    def of_paths(self, paths: Iterable[StorePath]) -> Group:
        """Some paths, at least one, as one layer."""
        return reduce(self.joined, (self.alone[path] for path in paths))

    def moved(self, group: Group) -> float:
        """Bytes of a layer that a change somewhere in the closure is expected to move."""
        return _moved(group.size, group.reach, self.number)

    def joined(self, one: Group, other: Group) -> Group:
        """Two groups as one layer."""
        (dearer,) = self.dearer(one, [other])
        return Group(
            one.size + other.size,
            one.reach | other.reach,
            one.every & other.every,
            one.some | other.some,
            one.again + other.again,
            one.part + other.part,
            one.mark + other.mark,
            one.price + other.price + dearer,
        )

    def dearer(self, one: Group, others: Iterable[Group]) -> list[float]:
        """How much more a group and each of some others cost as one layer than as two.

        All at once, since nearly all the time that a plan takes is spent here.
        """
        size0, reach0, every0, some0, again0, part0, mark0, price0 = one
        number, known, weight = self.number, self.known, self.stored
        found = []
        for size1, reach1, every1, some1, again1, part1, mark1, price1 in others:
            size = size0 + size1
            moved = size * (reach0 | reach1).bit_count() / number
            alike = (every0 & every1).bit_count() / (some0 | some1).bit_count()
            stored = (again0 + again1) * (1 - _ALIKE * alike)
            if known and (images := known.get(mark0 + mark1, 0)) > 1:
                stored = min(stored, max(0.0, size / images - part0 - part1))
            found.append(moved + weight * stored - price0 - price1)
        return found


def _guess(users: int) -> float:
    """How many images have a path, from how many paths of one closure use it, itself included.

    Fitted to the distribution's whole graph by bytes: a path that only the application uses is
    in 1.3 images, one that ten others use in ten.
    """
    return 1 + 0.3 * math.pow(users - 1, 1.5)


def _moved(size: int, changes: int, number: int) -> float:
    """Bytes that move when one of the `number` paths that may change does, each as likely."""
    return size * changes.bit_count() / number
