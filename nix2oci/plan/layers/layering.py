"""Closure + budget -> which store paths go into which layer, before any byte is written.

The app's own outputs change with every commit, so they get a layer of their own, the last; the
others are grouped so that as few bytes as possible are expected to move and to be stored.
Input order never matters: ties are broken by the order of store paths, that is by name, then hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import or_

from msgspec import Struct

from nix2oci.model.closure import Closure, StorePath
from nix2oci.plan.layers.application import application
from nix2oci.plan.layers.cost import Prices
from nix2oci.plan.layers.grouping import (
    ROUNDS,
    Joins,
    Paths,
    known_to_fleet,
    merged,
    settled,
    total,
)
from nix2oci.plan.layers.popularity import Popularity, mark_of, package_of


class LayerPlan(Struct, frozen=True):
    """The store paths of one layer, sorted; `nar_size` in bytes."""

    paths: tuple[StorePath, ...]
    nar_size: int
    popularity: int
    """By how many paths of the closure, or images of the index, the most popular path is used."""
    risk: float
    """The layer's share of the bytes that a change somewhere in the closure is expected to move."""
    shared_by: int | None
    """How many images of the index have this layer, or for one path its package; None without."""


class ReusedPlan(Struct, frozen=True):
    """An earlier plan that was kept."""

    where: str
    """What the user called it."""
    excess: float
    """How much dearer it is than a new plan: 0.05 is five per cent."""


class PreviousPlan(Struct, frozen=True):
    """An earlier plan, to be kept as far as possible."""

    where: str
    """What the user called it."""
    layers: tuple[tuple[str, ...], ...]
    """The names of the store paths of each layer."""


class Plan(Struct, frozen=True):
    """A partition of a closure into layers, base layer first, the app's own last."""

    layers: tuple[LayerPlan, ...]
    fleet: Popularity | None = None
    """The index that it was made by."""
    kept: ReusedPlan | None = None
    has_root: bool = False
    """Whether its one layer holds the root file system as well, so that no build reuses it."""
    joins: Joins = ()
    """What it began with: a plan by another index of the same images mostly begins so, too."""


class LayerHints(Struct, frozen=True):
    """What the user knows of a closure that the closure does not tell."""

    fleet: Popularity | None = None
    earlier: PreviousPlan | None = None
    stable: tuple[str, ...] = ()
    """Names, with or without a version, of what seldom changes."""
    volatile: tuple[str, ...] = ()
    """Names of what changes as often as the app."""


def store_layers(max_layers: int) -> int:
    """How many of an image's layers may hold store paths: the last one is for the view.

    An image of one layer has both in it.
    """
    return max(1, max_layers - 1)


def plan_layers(
    closure: Closure,
    budget: int,
    hints: LayerHints | None = None,
    done: Callable[[int], None] = lambda _: None,
    foreseen: Joins = (),
) -> Plan:
    """Plan at most `budget` store layers (at least 1); every path of the closure is in one.

    `done` is told of paths as each gets a place, and another one: of `steps(closure)` at most.
    `foreseen` are the joins of a plan that differs only in the layers of its index: it takes less
    time, and is the same.
    """
    hints = hints or LayerHints()
    stable = _named(closure, hints.stable)
    own = _own(closure, hints.volatile, stable) if budget > 1 else frozenset()
    prices = Prices.of(closure, hints.fleet, stable, own)
    rest = [path for path in closure if path not in own]
    room = max(1, budget - bool(own))
    groups, joins = _grouped(rest, room, prices, hints.fleet, done, foreseen=foreseen)
    kept = None
    if hints.earlier:
        least = total(groups, prices)
        groups = _as_before(rest, room, prices, hints.earlier)
        excess = total(groups, prices) / least - 1 if least else 0.0
        kept = ReusedPlan(hints.earlier.where, max(0.0, round(excess, 6)))
    layers = _ranked(groups, own, closure, prices, hints.fleet)
    return Plan(layers, hints.fleet, kept, joins=joins)


def steps(closure: Closure) -> int:
    """How many places of paths a plan decides about, at most."""
    return len(closure) * (1 + ROUNDS)


def _own(
    closure: Closure, volatile: Sequence[str], stable: frozenset[StorePath]
) -> frozenset[StorePath]:
    """What changes with every commit: the application, and what is volatile with its users."""
    own = {*closure.roots, *(application(closure) - stable)}
    if named := _named(closure, volatile):
        number = {path: 1 << i for i, path in enumerate(closure)}
        users = closure.users(number)
        changing = reduce(or_, (users[path] for path in named))
        own.update(path for path, bit in number.items() if changing & bit)
    return frozenset(own)


def _named(closure: Closure, names: Sequence[str]) -> frozenset[StorePath]:
    """The paths that a user's names mean, with or without their version."""
    wanted = frozenset(names)
    return frozenset(path for path in closure if {path.name, package_of(path.name)} & wanted)


def unmatched(closure: Closure, names: Sequence[str]) -> tuple[str, ...]:
    """The names in `stable` or `volatile` of hints that mean no path of a closure."""
    return tuple(name for name in names if not _named(closure, [name]))


def _grouped(
    paths: Sequence[StorePath],
    room: int,
    prices: Prices,
    fleet: Popularity | None,
    done: Callable[[int], None] = lambda _: None,
    *,
    foreseen: Joins = (),
) -> tuple[list[Paths], Joins]:
    """The cheapest groups that are found, at most `room`, and what is joined without the fleet's.

    `paths` are sorted.
    """
    alone: list[Paths] = [(path,) for path in paths]
    if len(alone) <= room:
        return alone, ()
    groups, joins = merged(alone, room, prices, done, foreseen)
    if fleet:
        dearest = max(0.0, *(extra for extra, *_ in joins))
        known = known_to_fleet([each.packages for each in fleet.layers], paths, dearest, prices)
        taken = {path for group in known for path in group}
        begun = [*known, *(one for one in alone if one[0] not in taken)]
        groups = min(
            (merged(begun, room, prices)[0], groups), key=lambda found: total(found, prices)
        )
    return settled(groups, prices, done), joins


def _as_before(
    paths: Sequence[StorePath],
    room: int,
    prices: Prices,
    earlier: PreviousPlan,
) -> list[Paths]:
    """The groups of an earlier plan; a path that it does not know goes where it costs least."""
    by_name = {name: place for place, names in enumerate(earlier.layers) for name in names}
    by_package = {package_of(name): place for name, place in reversed(by_name.items())}
    groups: dict[int, list[StorePath]] = {}
    new = []
    for path in paths:
        place = by_name.get(path.name, by_package.get(package_of(path.name)))
        if place is None:
            new.append(path)
        else:
            groups.setdefault(place, []).append(path)
    kept, _ = merged(map(tuple, groups.values()), room, prices)
    whole = [prices.of_paths(group) for group in kept]
    for path in sorted(new, key=lambda path: (-prices.alone[path].price, path)):
        alone = prices.alone[path]
        if len(kept) < room:
            kept.append((path,))
            whole.append(alone)
        else:
            place = prices.cheapest(alone, dict(enumerate(whole))) or 0
            kept[place] = (*kept[place], path)
            whole[place] = prices.joined(whole[place], alone)
    return kept


def _ranked(
    groups: Iterable[Paths],
    own: Iterable[StorePath],
    closure: Closure,
    prices: Prices,
    fleet: Popularity | None,
) -> tuple[LayerPlan, ...]:
    """The layers, most popular first, since engines reuse layers from the base up; `own` last."""
    moved = {paths: prices.moved(prices.of_paths(paths)) for paths in map(_sorted, groups)}
    if last := _sorted(own):
        moved[last] = sum(closure.infos[path].nar_size for path in last)
    expected = sum(moved.values()) or 1
    layers = [
        LayerPlan(
            paths,
            sum(closure.infos[path].nar_size for path in paths),
            max(prices.used[path] for path in paths),
            round(bytes_moved / expected, 6),
            _shared_by(paths, prices, fleet),
        )
        for paths, bytes_moved in moved.items()
    ]
    return tuple(
        sorted(layers, key=lambda each: (each.paths == last, -each.popularity, each.paths))
    )


def _sorted(paths: Iterable[StorePath]) -> Paths:
    return tuple(sorted(paths))


def _shared_by(paths: Paths, prices: Prices, fleet: Popularity | None) -> int | None:
    """How many images have a layer."""
    if not fleet:
        return None
    packages = [package_of(path.name) for path in paths]
    if len(packages) == 1:
        return fleet.holders(packages[0]).bit_count()
    return prices.known.get(mark_of(packages), 0)
