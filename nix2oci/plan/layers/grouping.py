"""Store paths -> groups for layers, as cheap as can be found in the time that a plan may take.

Every path begins as a layer of its own, dearest first; where there is one layer too many, the two
that cost least as one are joined. Then paths are moved one by one as long as that saves something.
Nothing here knows what a layer costs: `prices` does.
"""

from __future__ import annotations

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
    """Groups that are open to more, and for each the partner that is cheapest to join."""

    prices: Prices
    members: dict[int, Paths] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    extra: dict[int, dict[int, float]] = field(default_factory=dict)
    nearest: dict[int, tuple[float, int]] = field(default_factory=dict)
    dearest: float = 0.0
    """The most that two groups cost more as one, of those that were joined."""

    def add(self, paths: Paths) -> None:
        """Open a group."""
        number = max(self.members, default=-1) + 1
        self._put(number, paths, self.prices.of_paths(paths))

    def join_cheapest(self) -> None:
        """Join the two groups that cost least as one."""
        (extra, other), one = min((best, number) for number, best in self.nearest.items())
        one, other = sorted((one, other))
        self.dearest = max(self.dearest, extra)
        joined = self.prices.joined(self.groups[one], self.groups[other])
        members = self.members[one] + self.members[other]
        self._take(one)
        self._take(other)
        self._put(one, members, joined)

    def _put(self, number: int, paths: Paths, group: Group) -> None:
        row = {other: self.prices.dearer(group, theirs) for other, theirs in self.groups.items()}
        self.members[number], self.groups[number], self.extra[number] = paths, group, row
        for other, extra in row.items():
            self.extra[other][number] = extra
            self.nearest[other] = min(self.nearest.get(other, (extra, number)), (extra, number))
        if row:
            self.nearest[number] = min((extra, other) for other, extra in row.items())

    def _take(self, number: int) -> None:
        del self.members[number], self.groups[number], self.extra[number]
        self.nearest.pop(number, None)
        for other, row in self.extra.items():
            del row[number]
            if self.nearest[other][1] == number:
                if row:
                    self.nearest[other] = min((extra, third) for third, extra in row.items())
                else:
                    del self.nearest[other]


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
    return list(merging.members.values()), merging.dearest


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
    moved = False
    for path, without in _without_each(members[number], prices):
        if len(members[number]) == 1:
            break
        rest = without
        if moved:  # the group is another one by now
            rest = prices.of_paths(other for other in members[number] if other != path)
        saved = whole[number].price - rest.price
        alone = prices.alone[path]
        cost, target = min(
            (prices.dearer(group, alone) + alone.price, other)
            for other, group in enumerate(whole)
            if other != number
        )
        if cost < saved - 1e-6 * abs(saved):
            members[number].remove(path)
            members[target].append(path)
            whole[number], whole[target] = rest, prices.joined(whole[target], alone)
            moved = True
    return moved


def _without_each(paths: Sequence[StorePath], prices: Prices) -> list[tuple[StorePath, Group]]:
    """Each path with the group that the others are; nothing for a group of one."""
    if len(paths) == 1:
        return []
    alone = [prices.alone[path] for path in paths]
    before, behind = [alone[0]], [alone[-1]]
    for group in alone[1:-1]:
        before.append(prices.joined(before[-1], group))
    for group in alone[-2:0:-1]:
        behind.append(prices.joined(group, behind[-1]))
    behind.reverse()
    inner = [prices.joined(*pair) for pair in zip(before[:-1], behind[1:], strict=True)]
    return list(zip(paths, [behind[0], *inner, before[-1]], strict=True))


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
