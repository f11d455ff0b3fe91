"""Closure + budget -> which store paths go into which layer, before any byte is written.

The app's own outputs change with every commit, so they get a layer of their own, the last; the
largest of the other paths get one each, since a layer of one path is shared by every image that
has the path; the many small ones that remain share a few layers, most popular together. Input
order never matters: ties are broken by the order of store paths, that is by name, then hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nix2oci.nix.closure import Closure, StorePath

_TAIL = 4
"""Layers for the small paths: few, since a layer of several is seldom shared whichever they are."""


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """The store paths of one layer, sorted; `nar_size` in bytes.

    `popularity` is the largest number of reference chains in the closure that end at one of them.
    """

    paths: tuple[StorePath, ...]
    nar_size: int
    popularity: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A partition of a closure into layers, base layer first, the app's own last."""

    layers: tuple[LayerPlan, ...]


def store_layers(max_layers: int) -> int:
    """How many of an image's layers may hold store paths: the last one is for the view.

    An image of one layer has both in it.
    """
    return max(1, max_layers - 1)


def plan_layers(closure: Closure, budget: int) -> Plan:
    """Plan at most `budget` store layers (at least 1); every path of the closure is in one."""
    popularity = closure.popularity()
    own = set(closure.roots) if budget > 1 else set()
    rest = sorted(set(closure) - own)
    groups = _alone_or_together(rest, budget - bool(own), closure, popularity)
    layers = [_layer(group, closure, popularity) for group in groups]
    layers.sort(key=lambda layer: (-layer.popularity, layer.paths))
    if own:
        layers.append(_layer(sorted(own), closure, popularity))
    return Plan(tuple(layers))


def _alone_or_together(
    paths: Sequence[StorePath],
    budget: int,
    closure: Closure,
    popularity: Mapping[StorePath, int],
) -> Iterable[Sequence[StorePath]]:
    if len(paths) <= budget:
        return [[path] for path in paths]
    by_size = sorted(paths, key=lambda path: (-closure.infos[path].nar_size, path))
    tail = min(_TAIL, budget)
    alone, small = by_size[: budget - tail], by_size[budget - tail :]
    small.sort(key=lambda path: (-popularity[path], path))
    return [[path] for path in alone] + _split(small, tail, closure)


def _split(paths: Sequence[StorePath], parts: int, closure: Closure) -> list[Sequence[StorePath]]:
    """Cut a sequence into at most `parts` runs of about the same size in bytes, none empty."""
    total = sum(closure.infos[path].nar_size for path in paths)
    runs: list[list[StorePath]] = [[] for _ in range(parts)]
    before = 0
    for path in paths:
        runs[min(before * parts // max(total, 1), parts - 1)].append(path)
        before += closure.infos[path].nar_size
    return [run for run in runs if run]


def _layer(
    paths: Iterable[StorePath], closure: Closure, popularity: Mapping[StorePath, int]
) -> LayerPlan:
    ordered = tuple(sorted(paths))
    return LayerPlan(
        ordered,
        sum(closure.infos[path].nar_size for path in ordered),
        max(popularity[path] for path in ordered),
    )
