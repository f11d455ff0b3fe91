"""Why a store path is there: the chains of references that lead to it, and what goes with it.

The graph is of Nix's records or of what was found in an image; the latter may have circles, and
paths that nothing leads to, so nothing here relies on a closure's order.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from nix2oci.model.closure import StorePath, reachable
from nix2oci.model.package_name import PackageName

Chain = tuple[StorePath, ...]
"""From a root to the path in question; each refers to the next."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one store path is there."""

    path: StorePath
    referrers: tuple[StorePath, ...]
    only_through: tuple[StorePath, ...]
    """What would go with it, itself among them."""
    chains: tuple[Chain, ...]
    """The shortest first."""
    more: bool
    """There are more chains than these."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Store paths, what they refer to (never themselves), and what they are there for.

    `roots` has for each root the reasons that do not lie in another store path, such as
    `entrypoint` or a link at `/usr/bin`. Every path is reached from a root.
    """

    sizes: Mapping[StorePath, int]
    """Bytes of NAR."""
    references: Mapping[StorePath, tuple[StorePath, ...]]
    roots: Mapping[StorePath, tuple[str, ...]]

    @classmethod
    def of(
        cls,
        sizes: Mapping[StorePath, int],
        references: Mapping[StorePath, Iterable[StorePath]],
        roots: Mapping[StorePath, tuple[str, ...]],
    ) -> Graph:
        """Paths that no root leads to become roots, those first that nothing refers to."""
        kept = {
            path: tuple(sorted(other for other in references.get(path, ()) if other != path))
            for path in sorted(sizes)
        }
        referred = {other for others in kept.values() for other in others}
        found = {path: roots[path] for path in sorted(roots)}
        reached = reachable(found, kept.__getitem__)
        for path in sorted(kept, key=lambda path: (path in referred, path)):
            if path not in reached:
                found[path] = ("nothing refers to it" if path not in referred else "a circle",)
                reached |= reachable([path], kept.__getitem__)
        return cls({path: sizes[path] for path in kept}, kept, found)

    def referrers(self, path: StorePath) -> tuple[StorePath, ...]:
        """The paths that refer to it."""
        return tuple(other for other, found in self.references.items() if path in found)

    def only_through(self, path: StorePath) -> tuple[StorePath, ...]:
        """What would go if a path went: itself, and all that is reached only through it."""
        others = {one: [r for r in found if r != path] for one, found in self.references.items()}
        left = reachable((root for root in self.roots if root != path), others.__getitem__)
        return tuple(other for other in self.sizes if other not in left)

    def size(self, paths: Iterable[StorePath]) -> int:
        """Bytes of NAR of several paths."""
        return sum(self.sizes[path] for path in paths)

    def chains(self, path: StorePath) -> Iterator[Chain]:
        """Every chain from a root, the shortest first, in the same order every time.

        There may be very many: take as many as are wanted. It goes backwards from the path, and
        knows how far each referrer is from the nearest root, so that no step leads astray; of
        equals the longest is gone on with, so that the first chain is soon there.
        """
        distance = self._distances()
        referrers: defaultdict[StorePath, list[StorePath]] = defaultdict(list)
        for other, found in self.references.items():
            for reference in found:
                referrers[reference].append(other)
        waiting: list[tuple[int, int, bool, Chain]] = [(distance[path] + 1, -1, False, (path,))]
        while waiting:
            _, depth, is_whole, chain = heapq.heappop(waiting)
            if is_whole:
                yield chain
                continue
            if chain[0] in self.roots:
                heapq.heappush(waiting, (len(chain), depth - 1, True, chain))
            for other in referrers[chain[0]]:
                if other not in chain:
                    total = distance[other] + 1 + len(chain)
                    heapq.heappush(waiting, (total, depth - 1, False, (other, *chain)))

    def explain(self, path: StorePath, most: int) -> Explanation:
        """Why a path is there, with `most` of the chains that lead to it."""
        chains = tuple(islice(self.chains(path), most + 1))
        gone = self.only_through(path)
        return Explanation(path, self.referrers(path), gone, chains[:most], len(chains) > most)

    def _distances(self) -> dict[StorePath, int]:
        """Steps from the nearest root to each path."""
        distance = dict.fromkeys(self.roots, 0)
        queue = deque(distance)
        while queue:
            path = queue.popleft()
            for other in self.references[path]:
                if other not in distance:
                    distance[other] = distance[path] + 1
                    queue.append(other)
        return distance


def named(paths: Iterable[StorePath], text: str) -> tuple[StorePath, ...]:
    """The store paths that a text names, sorted.

    It is a store path or a file in one, a hash part, a name, or a name without its version: of
    these, the first that fits anything. `openssl` names all outputs and versions of it.
    """
    known = sorted(paths)
    whole = [path for path in known if f"{text}/".startswith(f"{path}/")]
    exact = whole or [path for path in known if text in (path.base, path.hash_part, path.name)]
    if exact:
        return tuple(exact)
    parsed = {path: PackageName.parse(path.name) for path in known}
    titles = {path: (n.package, f"{n.package}-{n.version}", n.title) for path, n in parsed.items()}
    return tuple(path for path in known if text in titles[path])
