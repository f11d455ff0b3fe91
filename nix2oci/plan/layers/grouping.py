"""Store paths -> groups for layers, as cheap as can be found in the time that a plan may take.

Every path begins as a layer of its own, dearest first; where there is one layer too many, the two
that cost least as one are joined. Then paths are moved one by one as long as that saves something.
Nothing here knows what a layer costs: `prices` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush

from msgspec import Struct, field

from nix2oci.model.closure import StorePath
from nix2oci.plan.layers.cost import Floor, Group, Prices
from nix2oci.plan.layers.popularity import package_of

Paths = tuple[StorePath, ...]

ROUNDS = 3
"""How often each path may be moved."""

_NEAR, _WIDER = 1.1, 4
"""How much dearer than the cheapest pair a pair may be so that it is looked at, and how much
further is looked the next time. That only decides how long a plan takes."""

MOST_COMPARED = 800_000
"""How often a path is held against a group to see whether it costs less there, so that a plan does
not take too long. 2,000 paths and 126 groups need 756,000."""


class _Open(Struct, frozen=True, gc=False):
    """A group that is open to more."""

    begun: int
    """How many had been begun before the first of its paths."""
    paths: list[StorePath]
    group: Group


_Pair = tuple[float, tuple[int, ...], int, int]
"""Two open groups, in the order in which pairs are looked at: the cheapest first.

What they cost more as one, or where that is not known what they do at least; when the two were
begun, ascending, which is empty where the pair is not priced; the number of the later and of the
earlier one. Of pairs that cost as much those that are not priced come first, so that none is
overlooked, then those that were begun first. Where `_FURTHER` is in place of the earlier one, it is
all pairs of the later one that cost as much, or more.
"""

_FURTHER = -1

Joins = tuple[tuple[float, int, int], ...]
"""Which groups were joined, in their order: what the two cost more as one, and their numbers."""


class Merging(Struct):
    """Groups that are open to more, and what any two of them cost more as one.

    Each pair stands once, in the row of the group that was put later. To price a pair takes long,
    so it comes into its row where by the floors of both it may be near to the cheapest, and is
    priced when by their limit it may be the cheapest: `pairs` has the next one of each row, and all
    that are priced. Rows and pairs are heaps; what is in them of groups that were joined since is
    passed over.
    """

    prices: Prices
    groups: dict[int, _Open] = field(default_factory=dict)
    floors: dict[int, Floor] = field(default_factory=dict)
    """Those of the groups; the last one is of the group that was put last."""
    rows: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    pairs: list[_Pair] = field(default_factory=list)
    marks: set[int] = field(default_factory=set)
    """Those of all groups that there were."""
    count: int = 0
    """How many groups were put."""
    joins: list[tuple[float, int, int]] = field(default_factory=list)
    """What was joined so far."""
    foreseen: list[tuple[float, int, int]] = field(default_factory=list)
    """What is likely to be joined, the next last; as long as there is some there are no rows.

    These were the cheapest pairs by prices that differ only in the layers that a fleet has. What is
    such a layer now is priced when it is put, and no other pair costs less than it did.
    """

    def put(self, begun: int, paths: list[StorePath], group: Group) -> None:
        """Open a group; `begun` of those that are no join of others were put before it."""
        number = self.count
        rests = self.prices.rests(group, self.marks)
        self.marks.add(group.mark)
        known = [n for n, each in self.groups.items() if each.group.mark in rests] if rests else ()
        self.groups[number] = _Open(begun, paths, group)
        self.floors[number] = self.prices.floor(group)
        for other in known:
            heappush(self.pairs, self._priced(number, other))
        if not self.foreseen:
            self._look(number, -math.inf, _NEAR * self.pairs[0][0] if self.pairs else 0.0)
        self.count += 1

    def join_cheapest(self) -> None:
        """Join the two groups that cost least as one."""
        extra, _, later, earlier = self._foreseen() or self._cheapest()
        self.joins.append((extra, later, earlier))
        for number in (later, earlier):
            self.rows.pop(number, None)
            del self.floors[number]
        found = [self.groups.pop(number) for number in (later, earlier)]
        one, other = sorted(found, key=lambda each: each.begun)
        one.paths.extend(other.paths)  # in place, or a large layer would be copied at every join
        self.put(one.begun, one.paths, self.prices.joined(one.group, other.group))

    def _foreseen(self) -> _Pair | None:
        """The pair that was foreseen, if it is the cheapest; else there are rows from now on."""
        if not self.foreseen:
            return None
        extra, later, earlier = self.foreseen.pop()
        expected = self._priced(later, earlier)
        heappush(self.pairs, expected)
        cheapest = self._cheapest()
        if cheapest == expected and expected[0] == extra:
            return expected
        heappush(self.pairs, cheapest)
        self.foreseen.clear()
        for number in self.groups:
            self._look(number, -math.inf, _NEAR * cheapest[0])
        return None

    def _look(self, number: int, since: float, until: float) -> None:
        """Make a row of the pairs that cost at least from `since` on and less than `until`."""
        groups, floors, prices = self.groups, self.floors, self.prices
        near = [n for n in prices.near(floors[number], floors, until) if n < number]
        limits = prices.dearer_at_least(groups[number].group, [groups[n].group for n in near])
        row = [(limit, n) for limit, n in zip(limits, near, strict=True) if since <= limit < until]
        row.append((until, _FURTHER))
        heapify(row)
        self.rows[number] = row
        self._look_at_next(number)

    def _look_at_next(self, number: int) -> None:
        row = self.rows[number]
        extra, other = heappop(row)
        while other not in self.groups and other != _FURTHER:
            extra, other = heappop(row)
        heappush(self.pairs, (extra, (), number, other))

    def _cheapest(self) -> _Pair:
        while True:
            pair = heappop(self.pairs)
            extra, begun, later, earlier = pair
            if later not in self.groups:
                continue
            if earlier == _FURTHER:
                last = next(reversed(self.floors.values()))
                self._look(later, extra, max(_WIDER * extra, last.price, 1.0))
            elif not begun:
                self._look_at_next(later)
                if earlier in self.groups:
                    heappush(self.pairs, self._priced(later, earlier))
            elif earlier in self.groups:
                return pair

    def _priced(self, later: int, earlier: int) -> _Pair:
        one, other = self.groups[later], self.groups[earlier]
        extra = self.prices.dearer(one.group, other.group)
        begun = min(one.begun, other.begun), max(one.begun, other.begun)
        return extra, begun, later, earlier


def merged(
    groups: Iterable[Paths],
    budget: int,
    prices: Prices,
    done: Callable[[int], None] = lambda _: None,
    foreseen: Joins = (),
) -> tuple[list[Paths], Joins]:
    """Join groups until there are at most `budget`; which were joined, too.

    `foreseen` are the joins of the same groups to as many, by prices of another index of the same
    images: it takes less time where they are the same.
    """
    merging = Merging(prices, foreseen=[*reversed(foreseen)])
    opened = ((paths, prices.of_paths(paths)) for paths in groups)
    ordered = sorted(opened, key=lambda each: (-each[1].price, each[0]))
    for place, (paths, group) in enumerate(ordered):
        merging.put(place, list(paths), group)
        if len(merging.groups) > budget:
            merging.join_cheapest()
        done(len(paths))
    return [tuple(each.paths) for each in merging.groups.values()], tuple(merging.joins)


def settled(
    groups: Sequence[Paths], prices: Prices, done: Callable[[int], None] = lambda _: None
) -> list[Paths]:
    """Move paths between groups as long as that saves something, and the time allows it."""
    if len(groups) < 2:
        return list(groups)
    settling = _Settling(prices, [list(paths) for paths in groups])
    for number, paths in enumerate(groups):
        settling.set(number, prices.of_paths(paths))
    left = MOST_COMPARED // len(groups)
    for _ in range(ROUNDS):
        moved = False
        for number, group in enumerate(settling.members):
            done(len(group))
            if len(group) <= left:
                left -= len(group)
                moved |= settling.move_out(number)
        if not moved:
            break
    return [tuple(paths) for paths in settling.members]


class _Settling(Struct):
    """Groups by number, between which paths are moved."""

    prices: Prices
    members: list[list[StorePath]]
    whole: dict[int, Group] = field(default_factory=dict)
    floors: dict[int, Floor] = field(default_factory=dict)
    changes: list[int] = field(default_factory=list)
    """The group that was set, each time that one was."""
    marks: set[int] = field(default_factory=set)
    """Those of all groups that there were."""
    refused: dict[StorePath, tuple[float, int]] = field(default_factory=dict)
    """Below which cost a path has no place, and how many changes there had been then."""

    def set(self, number: int, group: Group) -> None:
        """A group is another one from now on."""
        self.whole[number], self.floors[number] = group, self.prices.floor(group)
        self.changes.append(number)
        self.marks.add(group.mark)

    def move_out(self, number: int) -> bool:
        """Move paths of one group to where they cost less; whether there were any."""
        prices, members, whole = self.prices, self.members, self.whole
        paths = list(members[number])
        behind = _unions_behind(paths, prices)
        before: Group | None = None  # those of the paths so far that stay
        for path, later in zip(paths, behind, strict=True):
            alone = prices.alone[path]
            rest = _union(before, later, prices)
            if rest is None:  # the last one of a group stays
                break
            saved = whole[number].price - rest.price
            target = self._cheapest(path, saved - 1e-6 * abs(saved), number)
            if target is not None:
                members[number].remove(path)
                members[target].append(path)
                self.set(number, rest)
                self.set(target, prices.joined(whole[target], alone))
            else:
                before = _union(before, alone, prices)
        return len(members[number]) < len(paths)

    def _cheapest(self, path: StorePath, below: float, but: int) -> int | None:
        """The group in which a path costs least, if less than `below`.

        What a path was refused before is looked at again only where it changed since.
        """
        prices, floors, one = self.prices, self.floors, self.prices.alone[path]
        refused, since = self.refused.get(path, (-math.inf, 0))
        if below <= refused:
            floors = {number: floors[number] for number in self.changes[since:]}
        near = prices.near(prices.floor(one), floors, below - one.price)
        if rests := prices.rests(one, self.marks):
            near += [number for number in floors if self.whole[number].mark in rests]
        whole = {number: self.whole[number] for number in near if number != but}
        place = prices.cheapest(one, whole, below)
        if place is None:
            self.refused[path] = below, len(self.changes)
        return place


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
