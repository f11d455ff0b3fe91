"""Store paths -> groups for layers, as cheap as can be found in the time that a plan may take.

Every path begins as a layer of its own, dearest first; where there is one layer too many, the two
that cost least as one are joined. Then paths are moved one by one as long as that saves something.
Nothing here knows what a layer costs: `prices` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from msgspec import Struct, field

from nix2oci.model.closure import StorePath
from nix2oci.plan.layers.cost import Group, Prices
from nix2oci.plan.layers.popularity import package_of

Paths = tuple[StorePath, ...]

ROUNDS = 3
"""How often each path may be moved."""

MOST_COMPARED = 800_000
"""How often a path is held against a group to see whether it costs less there, so that a plan does
not take too long. 2,000 paths and 126 groups need 756,000."""


class _Open(Struct):
    """A group that is open to more."""

    begun: int
    """How many had been begun before the first of its paths."""
    paths: list[StorePath]
    group: Group


class _Pair(NamedTuple):
    """Two open groups, in the order in which pairs are looked at: the cheapest first.

    Of pairs that cost as much those that are not priced come first, so that none is overlooked,
    then those that were begun first.
    """

    extra: float
    """What they cost more as one; where that is not known, what they do at least."""
    begun: tuple[int, ...]
    """When the two were begun, ascending; empty where the pair is not priced."""
    later: int
    earlier: int
    """Their numbers."""


class Merging(Struct):
    """Groups that are open to more, and what any two of them cost more as one.

    Each pair stands once, in the row of the group that was put later. To price a pair takes long,
    so it is priced when by what it costs at least it may be the cheapest: `pairs` has the next one
    of each row, and all that are priced. Rows and pairs are heaps; what is in them of groups that
    were joined since is passed over.
    """

    prices: Prices
    groups: dict[int, _Open] = field(default_factory=dict)
    rows: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    pairs: list[_Pair] = field(default_factory=list)
    begun: int = 0
    put: int = 0
    dearest: float = 0.0
    """The most that two groups cost more as one, of those that were joined."""

    def add(self, paths: Paths) -> None:
        """Open a group."""
        self._put(_Open(self.begun, list(paths), self.prices.of_paths(paths)))
        self.begun += 1

    def join_cheapest(self) -> None:
        """Join the two groups that cost least as one."""
        pair = self._cheapest()
        self.dearest = max(self.dearest, pair.extra)
        del self.rows[pair.later], self.rows[pair.earlier]
        found = [self.groups.pop(number) for number in (pair.later, pair.earlier)]
        one, other = sorted(found, key=lambda each: each.begun)
        one.paths += other.paths
        self._put(_Open(one.begun, one.paths, self.prices.joined(one.group, other.group)))

    def _put(self, opened: _Open) -> None:
        others = [other.group for other in self.groups.values()]
        row = list(zip(self.prices.dearer_at_least(opened.group, others), self.groups, strict=True))
        heapify(row)
        self.groups[self.put], self.rows[self.put] = opened, row
        self._look_at_next(self.put)
        self.put += 1

    def _look_at_next(self, number: int) -> None:
        row = self.rows[number]
        while row:
            limit, other = heappop(row)
            if other in self.groups:
                heappush(self.pairs, _Pair(limit, (), number, other))
                break

    def _cheapest(self) -> _Pair:
        while True:
            pair = heappop(self.pairs)
            if pair.later in self.groups and not pair.begun:
                self._look_at_next(pair.later)
            if pair.later in self.groups and pair.earlier in self.groups:
                if pair.begun:
                    return pair
                heappush(self.pairs, self._priced(pair))

    def _priced(self, pair: _Pair) -> _Pair:
        one, other = self.groups[pair.later], self.groups[pair.earlier]
        extra = self.prices.dearer(one.group, other.group)
        begun = tuple(sorted((one.begun, other.begun)))
        return _Pair(extra, begun, pair.later, pair.earlier)


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
        if len(merging.groups) > budget:
            merging.join_cheapest()
        done(len(paths))
    return [tuple(each.paths) for each in merging.groups.values()], merging.dearest


def settled(
    groups: Sequence[Paths], prices: Prices, done: Callable[[int], None] = _nothing
) -> list[Paths]:
    """Move paths between groups as long as that saves something, and the time allows it."""
    if len(groups) < 2:
        return list(groups)
    members = [list(paths) for paths in groups]
    whole = [prices.of_paths(paths) for paths in groups]
    left = MOST_COMPARED // len(groups)
    for _ in range(ROUNDS):
        moved = False
        for number, group in enumerate(members):
            done(len(group))
            if len(group) <= left:
                left -= len(group)
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
        target = prices.cheapest(alone, whole, saved - 1e-6 * abs(saved), number)
        if target is not None:
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
