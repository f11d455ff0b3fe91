"""Store paths -> groups for layers, as cheap as can be found in the time that a plan may take.

Every path begins as a layer of its own, dearest first; where there is one layer too many, the two
that cost least as one are joined. Then paths are moved one by one as long as that saves something.
Nothing here knows what a layer costs: `prices` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct, field

from nix2oci.model.closure import StorePath
from nix2oci.plan.layers.cost import Group, Prices
from nix2oci.plan.layers.popularity import package_of

Paths = tuple[StorePath, ...]

ROUNDS = 3
"""How often each path may be moved."""
_MAX_SETTLED = 2000
"""Paths: beyond this, moving them one by one takes longer than a plan may."""


class Merging(Struct):
    """Groups that are open to more, and what any two of them cost more as one.

    Each pair stands once, in the row of the group that was put later; `nearest` is the least of a
    row with its group. Of pairs that cost as much the one with the lowest numbers counts.
    """

    prices: Prices
    members: dict[int, list[StorePath]] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    extra: dict[int, dict[int, float]] = field(default_factory=dict)
    nearest: dict[int, tuple[float, int]] = field(default_factory=dict)
    dearest: float = 0.0
    """The most that two groups cost more as one, of those that were joined."""

    def add(self, paths: Paths) -> None:
        """Open a group."""
        number = max(self.members, default=-1) + 1
        self._put(number, list(paths), self.prices.of_paths(paths))

    def join_cheapest(self) -> None:
        """Join the two groups that cost least as one."""
        extra, one, other = min(
            (extra, min(pair), max(pair))
            for number, (extra, other) in self.nearest.items()
            for pair in [(number, other)]
        )
        self.dearest = max(self.dearest, extra)
        joined = self.prices.joined(self.groups[one], self.groups[other])
        members = self.members[one]
        members += self.members[other]
        self._take(one)
        self._take(other)
        self._put(one, members, joined)

    def _put(self, number: int, paths: list[StorePath], group: Group) -> None:
        row = dict(zip(self.groups, self.prices.dearer(group, self.groups.values()), strict=True))
        self.members[number], self.groups[number], self.extra[number] = paths, group, row
        self._find_nearest(number)

    def _take(self, number: int) -> None:
        del self.members[number], self.groups[number], self.extra[number]
        self.nearest.pop(number, None)
        for other, row in self.extra.items():
            if row.pop(number, None) is not None and self.nearest[other][1] == number:
                self._find_nearest(other)

    def _find_nearest(self, number: int) -> None:
        row = self.extra[number]
        if row:
            least = min(row.values())
            self.nearest[number] = least, min(other for other in row if row[other] == least)
        else:
            self.nearest.pop(number, None)


def _nothing(_: int) -> None:
    """Nobody is told how far it is."""


def merged(
    groups: Iterable[Paths],
    budget: int,
    prices: Prices,
    done: Callable[[int], None] = _nothing,
) -> tuple[list[Paths], float]:
    """Join groups until there are at most `budget`; what the dearest of the joins cost, too."""
    ordered = sorted((-prices.of_paths(paths).price, paths) for paths in groups)
    merging = Merging(prices)
    for _, paths in ordered:
        merging.add(paths)
        if len(merging.members) > budget:
            merging.join_cheapest()
        done(len(paths))
    return [tuple(paths) for paths in merging.members.values()], merging.dearest


def settled(
    groups: Sequence[Paths], prices: Prices, done: Callable[[int], None] = _nothing
) -> list[Paths]:
    """Move paths between groups as long as that saves something, a few rounds at most."""
    if len(groups) < 2 or sum(map(len, groups)) > _MAX_SETTLED:
        return list(groups)
    members = [list(paths) for paths in groups]
    whole = [prices.of_paths(paths) for paths in groups]
    for _ in range(ROUNDS):
        moved = False
        for number, group in enumerate(members):
            done(len(group))
            moved |= _move_out(number, members, whole, prices)
        if not moved:
            break
    return [tuple(paths) for paths in members]


def _move_out(
    number: int, members: list[list[StorePath]], whole: list[Group], prices: Prices
) -> bool:
    """Move paths of one group to where they cost less; whether there were any."""
    paths = list(members[number])
    behind = _unions_behind(paths, prices)
    before: Group | None = None  # those of the paths so far that stay
    for path, later in zip(paths, behind, strict=True):
        alone = prices.alone[path]
        rest = _union(before, later, prices)
        if rest is None:  # the last one of a group stays
            break
        saved = whole[number].price - rest.price
        costs = [extra + alone.price for extra in prices.dearer(alone, whole)]
        costs[number] = math.inf
        target = costs.index(min(costs))
        if costs[target] < saved - 1e-6 * abs(saved):
            members[number].remove(path)
            members[target].append(path)
            whole[number], whole[target] = rest, prices.joined(whole[target], alone)
        else:
            before = _union(before, alone, prices)
    return len(members[number]) < len(paths)


def _unions_behind(paths: Sequence[StorePath], prices: Prices) -> list[Group | None]:
    """For each path, the group that those behind it are; None for the last."""
    unions: list[Group | None] = [None]
    for path in paths[:0:-1]:
        unions.append(_union(prices.alone[path], unions[-1], prices))
    unions.reverse()
    return unions


def _union(one: Group | None, other: Group | None, prices: Prices) -> Group | None:
    """Two groups as one, where either may have no path."""
    return prices.joined(one, other) if one and other else one or other


def total(groups: Iterable[Paths], prices: Prices) -> float:
    """What a plan costs."""
    return sum(prices.of_paths(paths).price for paths in groups)


def known_to_fleet(
    layers: Iterable[tuple[str, ...]], paths: Iterable[StorePath], room: float, prices: Prices
) -> list[Paths]:
    """Layers that images of the fleet have, where all their packages are among the paths.

    Those that save most, none twice: a layer of `n` paths spares `n - 1` others, each of which is
    worth `room`.
    """
    at: dict[str, list[StorePath]] = {}
    for path in paths:
        at.setdefault(package_of(path.name), []).append(path)
    gains = []
    for packages in layers:
        if all(package in at for package in packages):
            found = tuple(sorted(path for package in {*packages} for path in at[package]))
            extra = prices.of_paths(found).price - sum(prices.alone[p].price for p in found)
            gains.append((extra - room * (len(found) - 1), found))
    taken: set[StorePath] = set()
    chosen = []
    for gain, found in sorted(gains):
        if gain < 0 and taken.isdisjoint(found):
            taken.update(found)
            chosen.append(found)
    return chosen
