"""Closures without a store: by name and size, or any that hypothesis finds."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from support.fakestore import store_path

from nix2oci.model.closure import Closure, PathInfo
from nix2oci.plan.layers.layering import Plan


def info(name: str, size: int, *references: str) -> PathInfo:
    refs = tuple(sorted(store_path(reference) for reference in references))
    return PathInfo(store_path(name), bytes(32), size, refs)


def closure(*infos: PathInfo, roots: tuple[str, ...] = ("app",)) -> Closure:
    return Closure.of(infos, [store_path(root) for root in roots])


def names(plan: Plan) -> list[list[str]]:
    return [[path.name for path in layer.paths] for layer in plan.layers]


@dataclass(frozen=True)
class Graph:
    """Sizes by number, and which numbers each refers to; a reference is always to a larger one."""

    sizes: tuple[int, ...]
    edges: frozenset[tuple[int, int]]
    more_roots: frozenset[int]

    def closure(self, salt: str = "", *, backwards: bool = False) -> Closure:
        paths = [store_path(f"p{n}", salt=salt) for n in range(len(self.sizes))]
        infos = [
            PathInfo(
                path,
                bytes(32),
                size,
                tuple(sorted(paths[to] for at, to in self.edges if at == n)),
            )
            for n, (path, size) in enumerate(zip(paths, self.sizes, strict=True))
        ]
        needed = {to for _, to in self.edges}
        roots = [path for n, path in enumerate(paths) if n not in needed or n in self.more_roots]
        if backwards:
            infos.reverse()
            roots.reverse()
        return Closure.of(infos, roots)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(1, 24))
    sizes = draw(
        st.lists(st.sampled_from([0, 1, 7, 7, 1000, 10**9]), min_size=count, max_size=count)
    )
    pairs = [(at, to) for at in range(count) for to in range(at + 1, count)]
    edges = draw(st.frozensets(st.sampled_from(pairs), max_size=40)) if pairs else frozenset()
    return Graph(tuple(sizes), edges, draw(st.frozensets(st.integers(0, count - 1), max_size=2)))
