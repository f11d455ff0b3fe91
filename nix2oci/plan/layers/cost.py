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

_JUST_BELOW = 1 - 1e-12
"""What a sum is multiplied with to be no more than the same sum, rounded in another order."""


class Group(Struct, frozen=True, gc=False):
    """Store paths that might form a layer; sizes in bytes, sets as the bits of an integer.

    What is in the set of one path only has no bit, but is counted as lone: where paths have little
    to do with each other the integers stay short. Sizes and counts are whole numbers, but floats:
    Python calculates much faster with one type than with two.
    """

    size: float
    again: float
    """Bytes that are stored once more if no other image has this layer."""
    price: float
    changes: float
    """How many there are in `reach`, lone ones included."""
    lone_changes: float
    shared: float
    """How many there are in `every`."""
    users: float
    """How many there are in `some`, lone ones included."""
    lone_users: float
    reach: int
    """The set of what a change of moves the layer: what the paths refer to, transitively,
    themselves included, as far as it may change."""
    every: int
    """The set of users that all of the paths have."""
    some: int
    """The set of users that any of them has."""
    part: float
    """Bytes that would be this image's part of what is stored if each path had a layer."""
    mark: int
    """The sum of the packages' marks: tells sets of packages apart, in whatever order they join."""


class Floor(Struct, frozen=True, gc=False):
    """What a group costs with a path or a group more, at least."""

    moves: float
    """For each byte of the others: the share of changes that moves the group."""
    stored: float
    """For each byte of theirs that is stored once more."""
    least: float
    """How much dearer it is with whatever other group."""
    size: float
    again: float
    price: float
    """These three are the group's."""


class Prices(Struct, frozen=True):
    """The prices of the layers of one closure. Make them with `Prices.of`."""

    alone: Mapping[StorePath, Group]
    """Each path as a layer of its own."""
    used: Mapping[StorePath, int]
    """How many paths of the closure, or images of the fleet, use each path."""
    number: int
    """How many paths may change; never 0."""
    stored: float
    """What a byte that is stored once more weighs against one that moves."""
    known: Mapping[int, int]
    """How many images of the fleet have a layer, by its mark; those whose packages are all here."""
    slack: float
    """More bytes than a price can be off by rounding."""

    @classmethod
    def of(
        cls,
        closure: Closure,
        fleet: Popularity | None = None,
        stable: Collection[StorePath] = (),
        apart: Collection[StorePath] = (),
    ) -> Prices:
        """Count over a closure, and over a fleet if there is one.

        Paths that are `stable` never change, and those that are `apart` are in no group.
        """
        order = closure.references_first()
        bit = {path: 1 << i for i, path in enumerate(order)}  # few bits for what is at the bottom
        changing = sum(bit[path] for path in closure if path not in stable)
        changing = changing or bit[next(iter(closure))]
        number = changing.bit_count()
        reach = {path: found & changing for path, found in closure.reach(bit).items()}
        users = closure.users({path: 1 << i for i, path in enumerate(reversed(order))})
        holders = {path: _guess(using.bit_count()) for path, using in users.items()}
        if fleet:
            _count_images(closure, fleet, users, holders)
        paths = [path for path in closure if path not in apart]
        in_reach = _in_several(reach[path] for path in paths)
        in_users = _in_several(users[path] for path in paths)
        used = {path: using.bit_count() for path, using in users.items()}
        alone = {}
        for path in paths:
            size, mark = float(closure.infos[path].nar_size), mark_of([package_of(path.name)])
            part = size / holders[path]
            changes, uses = float(reach[path].bit_count()), float(used[path])
            moves, using = reach.pop(path) & in_reach, users.pop(path) & in_users  # long integers
            shared = float(using.bit_count())
            lone = changes - moves.bit_count()
            price = size * changes / number
            counts = size, size - part, price, changes, lone, shared, uses, uses - shared
            alone[path] = Group(*counts, moves, using, using, part, mark)
        weight = STORED_IF_COUNTED if fleet else STORED_IF_GUESSED
        known = _known(closure, fleet) if fleet else {}
        return cls(alone, used, number, weight, known, closure.nar_size * 2 * (1 - _JUST_BELOW))

    def of_paths(self, paths: Iterable[StorePath]) -> Group:
        """Some paths, at least one, as one layer."""
        return reduce(self.joined, (self.alone[path] for path in paths))

    def moved(self, group: Group) -> float:
        """Bytes of a layer that a change somewhere in the closure is expected to move."""
        return group.size * group.changes / self.number

    def joined(self, one: Group, other: Group) -> Group:
        """Two groups as one layer."""
        reach, some, every = one.reach | other.reach, one.some | other.some, one.every & other.every
        lone_changes = one.lone_changes + other.lone_changes
        lone_users = one.lone_users + other.lone_users
        changes, users = reach.bit_count() + lone_changes, some.bit_count() + lone_users
        shared = float(every.bit_count())
        return Group(
            one.size + other.size,
            one.again + other.again,
            one.price + other.price + self._dearer(one, other, changes, shared / users),
            changes,
            lone_changes,
            shared,
            users,
            lone_users,
            reach,
            every,
            some,
            one.part + other.part,
            one.mark + other.mark,
        )

    def dearer(self, one: Group, other: Group) -> float:
        """How much more two groups cost as one layer than as two."""
        changes = (one.reach | other.reach).bit_count() + one.lone_changes + other.lone_changes
        users = (one.some | other.some).bit_count() + one.lone_users + other.lone_users
        return self._dearer(one, other, changes, (one.every & other.every).bit_count() / users)

    def _dearer(self, one: Group, other: Group, changes: float, alike: float) -> float:
        size = one.size + other.size
        stored = (one.again + other.again) * (1 - _ALIKE * alike)
        if self.known and (images := self.known.get(one.mark + other.mark, 0)) > 1:
            stored = min(stored, max(0.0, size / images - one.part - other.part))
        return size * changes / self.number + self.stored * stored - one.price - other.price

    def dearer_at_least(self, one: Group, others: Collection[Group]) -> list[float]:
        """For each of some groups a number that `dearer` is not below, and seldom far above.

        But for a layer that the fleet has, which may cost less: `rests` tells.

        How many two sets have together is not counted but limited: by how many each has, what is
        lone in `one`, and one more that only `one` may have. All at once, since most of the time
        that a plan takes is spent here.
        """
        if not others:
            return []
        size, again, price = one.size, one.again, one.price
        changes, lone_changes, shared = one.changes, one.lone_changes, one.shared
        users, lone_users = one.users, one.lone_users
        a_change, weight = _JUST_BELOW / self.number, _JUST_BELOW * self.stored
        a_share = weight * _ALIKE
        change = 1 << one.reach.bit_length() >> 1
        user = 1 << one.every.bit_length() >> 1
        return [
            (size + each.size)
            * (
                each.changes + lone_changes + (1.0 if each.reach & change < change else 0.0)
                if each.changes >= changes
                else changes + each.lone_changes
            )
            * a_change
            + (again + each.again)
            * (
                weight
                - a_share
                * (each.shared if each.shared < shared else shared - more)
                / (
                    each.users + lone_users + more
                    if each.users >= users
                    else users + each.lone_users
                )
            )
            - price
            - each.price
            for each in others
            for more in [1.0 if each.some & user < user else 0.0]
        ]

    def floor(self, group: Group) -> Floor:
        """What limits the price of a group with others, of which no set is looked at.

        All have no more users in common than the group has. Not so where the fleet has the layer.
        """
        moves = group.changes / self.number * _JUST_BELOW
        stored = self.stored * (1 - _ALIKE * group.shared / group.users) * _JUST_BELOW
        least = group.size * moves + group.again * stored - group.price - self.slack
        return Floor(moves, stored, least, group.size, group.again, group.price)

    def near(self, one: Floor, others: Mapping[int, Floor], until: float) -> list[int]:
        """Which groups, by number, may cost less than `until` more with one, by the floors of both.

        None is missing whose `dearer_at_least` is less: it is never below a floor, but takes long.
        """
        if one.least >= until:
            return []
        moves, stored, least = one.moves, one.stored, one.least
        size, again, price = one.size, one.again, one.price
        return [
            number
            for number, each in others.items()
            if each.least < until
            and size * each.moves + again * each.stored + each.least - price < until
            and moves * each.size + stored * each.again + least - each.price < until
        ]

    def rests(self, one: Group, marks: set[int]) -> list[int]:
        """Of some marks those of what a group lacks to be a layer of the fleet."""
        return [rest for mark in self.known if (rest := mark - one.mark) in marks]

    def cheapest(
        self, one: Group, others: Mapping[int, Group], below: float = math.inf
    ) -> int | None:
        """In which of some groups, by number, another one costs least, its own price included.

        The first number of equal ones; None if it costs `below` or more everywhere.
        """
        rests = self.rests(one, {other.mark for other in others.values()}) if self.known else []
        limits = self.dearer_at_least(one, others.values())
        near = [
            (-math.inf if other.mark in rests else limit + one.price, number)
            for limit, (number, other) in zip(limits, others.items(), strict=True)
        ]
        best = below, -1
        for limit, number in sorted([each for each in near if each[0] < below]):
            if limit > best[0]:
                break
            best = min(best, (self.dearer(one, others[number]) + one.price, number))
        return best[1] if best[1] >= 0 else None


def _in_several(sets: Iterable[int]) -> int:
    """The set of what is in two of some sets, or in more."""
    once = several = 0
    for each in sets:
        several |= once & each
        once |= each
    return several


def _count_images(
    closure: Closure,
    fleet: Popularity,
    users: dict[StorePath, int],
    holders: dict[StorePath, float],
) -> None:
    """Put images of a fleet in place of paths that use a path, where the fleet has the package."""
    outside = fleet.outside(closure.roots)
    for path in closure:
        if images := fleet.holders(package_of(path.name)):
            users[path], holders[path] = images, images.bit_count() + outside
        else:  # its users are paths, no images: no package has both
            users[path] <<= len(fleet.images)
            holders[path] = 1 + _NEW_TO_FLEET * (holders[path] - 1)


def _known(closure: Closure, fleet: Popularity) -> dict[int, int]:
    here = {package_of(path.name) for path in closure}
    outside = fleet.outside(closure.roots)
    return {
        mark_of(layer.packages): layer.images + outside
        for layer in fleet.layers
        if here.issuperset(layer.packages)
    }


def _guess(users: int) -> float:
    """How many images have a path, from how many paths of one closure use it, itself included.

    Fitted to the distribution's whole graph by bytes: a path that only the application uses is
    in 1.3 images, one that ten others use in ten.
    """
    return 1 + 0.3 * math.pow(users - 1, 1.5)
