"""How others plan layers, written anew from how their plans are described, to measure ours against.

A planner takes a closure and how many layers may hold store paths, and answers a partition of the
closure, base layer first; the layer that is particular to the image is not counted. What a
description leaves open is decided by the order of store paths, so that a plan is a function of
its closure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from types import MappingProxyType
from typing import Self

from nix2oci.model.closure import Closure, StorePath

Layers = list[list[StorePath]]
Planner = Callable[[Closure, int], Layers]

NIXERY_LARGE = 100_000_000
"""A closure of more bytes than this gets an edge from Nixery's root."""

NIXERY_POPULAR = 100
"""So does a path to which this many of the package set refer."""

_IN_EVERY_NIXERY_IMAGE = ("cacert", "nss-cacert", "iana-etc")
_MOST_POPULAR = 500_000


# --- one path each, by some order, and the rest together -------------------------


def popularity(closure: Closure, budget: int) -> Layers:
    """`dockerTools` since 2018: the most popular paths alone, the others in the last layer."""
    counts = contest(closure)
    return _first_alone(sorted(closure, key=lambda path: (-counts[path], path)), budget)


def contest(closure: Closure) -> Mapping[StorePath, int]:
    """The popularity contest, as the whole image sees it: a path counts for more the deeper it is.

    By the description every path adds up, for all below it, what its references have counted,
    one more for each reference from which it is reached, and one for a reference itself. That
    makes a path's count the number of chains that begin at a root and end at it or above it.
    """
    graph = _Graph.of(closure)
    chains = [int(path in closure.roots) for path in graph.paths]
    for n in reversed(graph.topological):
        for to in graph.references[n]:
            chains[to] += chains[n]
    return {
        path: sum(chains[above] for above in _bits(graph.above[n] | 1 << n))
        for n, path in enumerate(graph.paths)
    }


def nix2container(closure: Closure, budget: int) -> Layers:
    """The paths at which the most reference chains end alone, the others in the last layer.

    Of equal ones the last that the graph mentions comes first, and that is a matter of hashes.
    """
    counts, number = chains(closure), _first_mentions(closure)
    return _first_alone(sorted(closure, key=lambda p: (-counts[p], -number[p])), budget)


def chains(closure: Closure) -> Mapping[StorePath, int]:
    """How many reference chains end at each path: 1, and each referrer's number more."""
    graph = _Graph.of(closure)
    counts = [1] * len(graph.paths)
    for n in reversed(graph.topological):
        for to in graph.references[n]:
            counts[to] += counts[n]
    return dict(zip(graph.paths, counts, strict=True))


def _first_mentions(closure: Closure) -> Mapping[StorePath, int]:
    """Numbers in the order in which the graph, sorted by whole path, mentions its paths."""
    mentions: dict[StorePath, int] = {}
    for path in sorted(closure, key=str):
        for mentioned in (path, *sorted(closure.references(path), key=str)):
            mentions.setdefault(mentioned, len(mentions))
    return mentions


def largest_first(closure: Closure, budget: int) -> Layers:
    """The largest paths alone, the others in the last layer (asked for in nix2container#27)."""
    return _first_alone(_by_size(closure), budget)


def top_first(closure: Closure, budget: int) -> Layers:
    """The least popular paths alone and last, the others in the base layer (nixpkgs#116446)."""
    counts = contest(closure)
    order = sorted(closure, key=lambda path: (counts[path], path))
    return _first_alone(order, budget)[::-1]


def _first_alone(order: Sequence[StorePath], budget: int) -> Layers:
    alone, rest = order[: budget - 1], order[budget - 1 :]
    return [[path] for path in alone] + ([sorted(rest)] if rest else [])


def _by_size(closure: Closure) -> list[StorePath]:
    return sorted(closure, key=lambda path: (-closure.infos[path].nar_size, path))


def _references_first(closure: Closure) -> Iterable[StorePath]:
    return TopologicalSorter({path: closure.references(path) for path in closure}).static_order()


# --- clusters of the graph -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Graph:
    """A closure by numbers, in the order of store paths; a set of paths is an integer's bits.

    `below` has what a path refers to, transitively, and `above` what refers to it; neither has
    the path itself. In `topological` a path comes after those it refers to.
    """

    paths: tuple[StorePath, ...]
    sizes: tuple[int, ...]
    topological: tuple[int, ...]
    references: tuple[tuple[int, ...], ...]
    below: tuple[int, ...]
    above: tuple[int, ...]

    @classmethod
    def of(cls, closure: Closure) -> Self:
        paths = tuple(closure)
        number = {path: n for n, path in enumerate(paths)}
        references = tuple(tuple(number[to] for to in closure.references(path)) for path in paths)
        topological = tuple(number[path] for path in _references_first(closure))
        below, above = [0] * len(paths), [0] * len(paths)
        for n in topological:
            for to in references[n]:
                below[n] |= below[to] | 1 << to
        for n in reversed(topological):
            for to in references[n]:
                above[to] |= above[n] | 1 << n
        sizes = tuple(closure.infos[path].nar_size for path in paths)
        return cls(paths, sizes, topological, references, tuple(below), tuple(above))

    def size(self, paths: int) -> int:
        """Bytes of a set of paths."""
        return sum(self.sizes[n] for n in _bits(paths))

    def closure_size(self, n: int) -> int:
        return self.size(self.below[n] | 1 << n)


def _bits(number: int) -> Iterator[int]:
    """Which bits are set, lowest first."""
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


def auto_layer(closure: Closure, budget: int) -> Layers:
    """`dockerTools` since 2025: large paths, each with what only it and the like of it need.

    The largest paths become primary, one after the other, while the layers suffice. A layer
    is the paths that have the same primaries: those from which they are reached without passing
    another. Layers are in the order of the sizes of their closures.
    """
    graph = _Graph.of(closure)
    number = {path: n for n, path in enumerate(graph.paths)}
    split = [0] * len(graph.paths)
    for path in _by_size(closure):
        changed = _with_primary(number[path], split, graph)
        if len(set(changed)) > budget:
            break
        split = changed
    members: dict[int, int] = {}
    for n, primaries in enumerate(split):
        members[primaries] = members.get(primaries, 0) | 1 << n
    layers = sorted(members.values(), key=lambda layer: (_closure_size(layer, graph), layer))
    return [[graph.paths[n] for n in _bits(layer)] for layer in layers]


def _with_primary(primary: int, split: Sequence[int], graph: _Graph) -> list[int]:
    """The primaries of each path, with one more."""
    changed = list(split)
    changed[primary] = 1 << primary
    below, above = graph.below[primary], graph.above[primary]
    for n in _bits(below):
        changed[n] &= ~above
        if not changed[n] & below:
            changed[n] |= 1 << primary
    return changed


def _closure_size(paths: int, graph: _Graph) -> int:
    whole = paths
    for n in _bits(paths):
        whole |= graph.below[n]
    return graph.size(whole)


def nixery(popularity: Mapping[str, int]) -> Planner:
    """Nixery's planner; `popularity` is `popcount` of a package set, and 1 for a name it lacks.

    The graph has a root above what was asked for, what is popular and what has a large closure.
    A layer is what one path directly below the root dominates; its rating is the popularity of
    that path times the sum of the closure sizes of all in it. The two of the lowest rating become
    one until there are few enough, and the highest is the base layer.
    """

    def plan(closure: Closure, budget: int) -> Layers:
        graph = _Graph.of(closure)
        closure_sizes = [graph.closure_size(n) for n in range(len(graph.paths))]
        counts = [_nixery_popularity(path.name, popularity) for path in graph.paths]
        tops = {
            n
            for n, path in enumerate(graph.paths)
            if path in closure.roots
            or closure_sizes[n] > NIXERY_LARGE
            or counts[n] >= NIXERY_POPULAR
        }
        layers: dict[int, list[int]] = {}
        for n, head in enumerate(_heads(graph, tops)):
            layers.setdefault(head, []).append(n)
        rated = [
            (counts[head] * sum(closure_sizes[n] for n in members), members)
            for head, members in layers.items()
        ]
        merged = _merge_lowest(rated, budget)
        return [[graph.paths[n] for n in members] for _, members in reversed(merged)]

    return plan


def popcount(closures: Iterable[Closure]) -> Mapping[str, int]:
    """How many store paths of all closures refer to each name, themselves included, if above 1."""
    infos = {path: info for closure in closures for path, info in closure.infos.items()}
    counts = Counter(to.name for info in infos.values() for to in info.references)
    return MappingProxyType({name: count for name, count in counts.items() if count > 1})


def _nixery_popularity(name: str, popularity: Mapping[str, int]) -> int:
    if name.startswith(_IN_EVERY_NIXERY_IMAGE):
        return _MOST_POPULAR
    return popularity.get(name, 1)


def _heads(graph: _Graph, tops: set[int]) -> list[int]:
    """By path: which path directly below the root dominates it, itself included.

    There is no circle, so one pass is enough: whatever two such subtrees refer to is itself
    directly below the root, as `tops` are.
    """
    heads = [-1] * len(graph.paths)
    for n in reversed(graph.topological):
        if n in tops:
            heads[n] = n
        for to in graph.references[n]:
            heads[to] = heads[n] if heads[to] in (-1, heads[n]) else to
    return heads


Rated = tuple[int, list[int]]


def _merge_lowest(rated: Iterable[Rated], budget: int) -> list[Rated]:
    """At most `budget` layers, lowest rating first; the rating of two is the sum of theirs."""
    layers = sorted(rated)
    while len(layers) > budget:
        (one, some), (other, more), *rest = layers
        layers = sorted([(one + other, sorted(some + more)), *rest])
    return layers


PUBLISHED: Mapping[str, Planner] = MappingProxyType(
    {
        "popularity": popularity,
        "nix2container": nix2container,
        "auto-layer": auto_layer,
        "largest-first": largest_first,
        "top-first": top_first,
    }
)
"""By name; Nixery's needs counts of a package set: `nixery(popcount(…))`."""
