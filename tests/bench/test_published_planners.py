"""Other people's planners, on closures whose plan follows from the description by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile

import pytest
from bench.layering.published import (
    PUBLISHED,
    Planner,
    auto_layer,
    chains,
    contest,
    largest_first,
    nix2container,
    nixery,
    popcount,
    popularity,
    top_first,
)
from hypothesis import given
from hypothesis import strategies as st
from support.fakestore import store_path

from nix2oci.model.closure import Closure, PathInfo, StorePath

MB = 1_000_000
PLANNERS: Mapping[str, Planner] = {**PUBLISHED, "nixery": nixery({"p3": 100, "p7": 5000})}


def info(name: str, size: int, *references: str) -> PathInfo:
    refs = tuple(sorted(store_path(reference) for reference in references))
    return PathInfo(store_path(name), bytes(32), size, refs)


def closure(*infos: PathInfo, roots: tuple[str, ...] = ("app",)) -> Closure:
    return Closure.of(infos, [store_path(root) for root in roots])


def names(layers: list[list[StorePath]]) -> list[str]:
    """Each layer as a line."""
    return [" ".join(path.name for path in layer) for layer in layers]


def web() -> Closure:
    """Two of the larger paths share one, and the whole stands on a C library."""
    return closure(
        info("app", 1 * MB, "flask", "openssl"),
        info("flask", 1 * MB, "python"),
        info("python", 60 * MB, "openssl", "sqlite", "libc"),
        info("sqlite", 3 * MB, "libc"),
        info("openssl", 6 * MB, "libc"),
        info("libc", 30 * MB),
    )


# Chains from the top that end at each: openssl 2, libc 4 (python, sqlite, openssl twice), else 1.
# A path's count is the sum of these over itself and all above it: openssl 2 + 3, libc 4 + 6.
def test_the_contest_adds_up_the_chains_of_a_path_and_of_all_above_it() -> None:
    counts = {path.name: count for path, count in contest(web()).items()}
    assert counts == {"app": 1, "flask": 2, "python": 3, "sqlite": 4, "openssl": 5, "libc": 10}


@pytest.mark.parametrize(
    ("planner", "budget", "expected"),
    [
        pytest.param(
            *(popularity, 3, ["libc", "openssl", "app flask python sqlite"]),
            id="popularity: what is deepest and most used is alone, the app with all else",
        ),
        pytest.param(
            *(popularity, 9, ["libc", "openssl", "sqlite", "python", "flask", "app"]),
            id="popularity: with room enough each is alone, the most popular lowest",
        ),
        pytest.param(
            *(largest_first, 4, ["python", "libc", "openssl", "app flask sqlite"]),
            id="largest-first: the three largest are alone",
        ),
        pytest.param(
            *(top_first, 3, ["libc openssl python sqlite", "flask", "app"]),
            id="top-first: the app is alone on top, what it stands on is one base layer",
        ),
        pytest.param(
            *(auto_layer, 1, ["app flask libc openssl python sqlite"]),
            id="auto-layer: one layer has all",
        ),
        # python alone is primary: all below belongs to it, app and flask to none.
        pytest.param(
            *(auto_layer, 2, ["libc openssl python sqlite", "app flask"]),
            id="auto-layer: a large path takes along all that it needs",
        ),
        # openssl is the third largest: its only user among the primaries is python.
        pytest.param(
            *(auto_layer, 4, ["libc", "openssl", "python sqlite", "app flask"]),
            id="auto-layer: what is below a nearer primary leaves the farther one",
        ),
        pytest.param(
            *(nixery({}), 9, ["app flask libc openssl python sqlite"]),
            id="nixery: nothing is popular, a closure of 100 MB is not large: the app has all",
        ),
        # Ratings: libc 100 x 30; app 1 x (101 + 100 + 99 + 33 + 36).
        pytest.param(
            *(nixery({"libc": 100}), 9, ["libc", "app flask openssl python sqlite"]),
            id="nixery: a popular path leaves its dominator",
        ),
        pytest.param(
            *(nixery({"libc": 99}), 9, ["app flask libc openssl python sqlite"]),
            id="nixery: 99 is not popular",
        ),
        # python takes sqlite, which is only below it; openssl is below app, too.
        # Ratings: python 200 x (99 + 33); app 1 x (101 + 100); openssl 1 x 36; libc 1 x 30.
        pytest.param(
            *(nixery({"python": 200}), 9, ["python sqlite", "app flask", "openssl", "libc"]),
            id="nixery: what two clusters share is one of its own, highest rating lowest",
        ),
        pytest.param(
            *(nixery({"python": 200}), 3, ["python sqlite", "app flask", "libc openssl"]),
            id="nixery: the two of the lowest rating become one",
        ),
        pytest.param(
            *(nixery({"python": 200}), 2, ["python sqlite", "app flask libc openssl"]),
            id="nixery: and so on until there are few enough",
        ),
    ],
)
def test_a_web_application(planner: Planner, budget: int, expected: list[str]) -> None:
    assert names(planner(web(), budget)) == expected


# Chains that end: app 1, a 1, b 1, lib 3 (itself, over a, over b) and app's own none.
def test_nix2container_counts_chains_and_takes_the_last_mentioned_of_equals() -> None:
    two = closure(
        info("app", 1, "a", "b"), info("a", 2, "lib"), info("b", 3, "lib"), info("lib", 4)
    )
    mentioned: dict[str, None] = {}
    for path in sorted(two, key=str):  # by hash, as the store path is written
        for each in (path, *sorted(two.references(path), key=str)):
            mentioned.setdefault(each.name)
    equals = [name for name in reversed(mentioned) if name in ("a", "b")]
    assert names(nix2container(two, 9)) == ["lib", *equals, "app"]
    assert names(nix2container(two, 2)) == ["lib", "a app b"]


def test_nix2container_counts_a_chain_from_each_of_its_paths() -> None:
    """Two chains end at `wide`, three at `deep`: from itself, `a` and the app."""
    graph = closure(
        info("app", 1, "a", "b", "c", "wide"),
        *(info(name, 1) for name in ("b", "c", "wide")),
        info("a", 1, "deep"),
        info("deep", 1),
    )
    counts = {path.name: count for path, count in chains(graph).items()}
    assert (counts["wide"], counts["deep"]) == (2, 3)
    assert names(nix2container(graph, 2))[0] == "deep"


def test_a_large_closure_is_a_cluster_of_nixerys() -> None:
    """More than 100 MB with all below it; `lib` is below both and so below the root."""
    one = closure(
        info("app", 1 * MB, "big", "lib"),
        info("big", 99 * MB, "lib", "own"),
        info("lib", 1 * MB),
        info("own", 1 * MB),
    )
    # Ratings: app 102; big 101 + 1 of its own; lib 1.
    assert names(nixery({})(one, 9)) == ["big own", "app", "lib"]


@pytest.mark.parametrize("name", ["cacert", "nss-cacert-3.98", "iana-etc-20240318"])
def test_what_is_in_every_image_of_nixerys_is_popular(name: str) -> None:
    one = closure(info("app", 1000, name), info(name, 1))
    assert names(nixery({})(one, 9)) == [name, "app"]


def test_popcount_counts_who_refers_to_a_name_over_all_closures() -> None:
    """A path of two closures counts once; names to which one path refers are left out."""
    lib, zlib = info("lib", 1, "lib", "zlib"), info("zlib", 1)
    one = closure(info("a", 1, "lib"), lib, zlib, roots=("a",))
    two = closure(info("b", 1, "lib"), lib, zlib, roots=("b",))
    assert popcount([one, two]) == {"lib": 3}


@st.composite
def closures(draw: st.DrawFn) -> Closure:
    count = draw(st.integers(1, 20))
    paths = [store_path(f"p{n}") for n in range(count)]
    pairs = [(at, to) for at in range(count) for to in range(at + 1, count)]
    edges = draw(st.frozensets(st.sampled_from(pairs), max_size=50)) if pairs else frozenset()
    sizes = st.sampled_from([1, 7, 7, 1000, 60 * MB])
    infos = [
        PathInfo(
            path, bytes(32), draw(sizes), tuple(sorted(paths[to] for a, to in edges if a == n))
        )
        for n, path in enumerate(paths)
    ]
    return Closure.of_all(infos)


@pytest.mark.parametrize("name", PLANNERS)
@given(closure=closures(), budget=st.integers(1, 25))
def test_every_planner_gives_a_partition_within_the_budget(
    name: str, closure: Closure, budget: int
) -> None:
    layers = PLANNERS[name](closure, budget)
    assert sorted(path for layer in layers for path in layer) == list(closure)
    assert all(layers)
    assert len(layers) <= budget


@pytest.mark.parametrize("name", ["popularity", "nix2container", "largest-first", "top-first"])
@given(closure=closures(), budget=st.integers(1, 25))
def test_a_planner_by_order_uses_its_budget(name: str, closure: Closure, budget: int) -> None:
    assert len(PLANNERS[name](closure, budget)) == min(budget, len(closure))


def contest_as_told(closure: Closure, references: Iterable[StorePath]) -> Counter[StorePath]:
    """The contest in the words of its description: what is counted below a path."""
    counts: Counter[StorePath] = Counter()
    for reference in references:
        counts[reference] += 1
        for path, count in contest_as_told(closure, closure.references(reference)).items():
            counts[path] += count + 1
    return counts


@given(closure=closures())
def test_the_contest_counts_as_it_is_told(closure: Closure) -> None:
    assert contest(closure) == contest_as_told(closure, closure.roots)


def reached(closure: Closure, path: StorePath) -> set[StorePath]:
    """A path and all below it."""
    return {path}.union(*(reached(closure, reference) for reference in closure.references(path)))


def by_primaries(closure: Closure, primaries: Sequence[StorePath]) -> set[frozenset[StorePath]]:
    """Groups of paths that the same primaries reach, none of them through another."""
    below = {path: reached(closure, path) for path in primaries}
    groups: dict[frozenset[StorePath], set[StorePath]] = {}
    for path in closure:
        above = [primary for primary in primaries if path in below[primary]]
        nearest = frozenset(p for p in above if not any(q in below[p] for q in above if q != p))
        groups.setdefault(nearest, set()).add(path)
    return {frozenset(group) for group in groups.values()}


@given(closure=closures(), budget=st.integers(1, 25))
def test_an_auto_layer_is_what_the_same_primaries_reach(closure: Closure, budget: int) -> None:
    by_size = sorted(closure, key=lambda path: (-closure.infos[path].nar_size, path))
    splits = (by_primaries(closure, by_size[:count]) for count in range(len(by_size) + 1))
    *_, expected = takewhile(lambda split: len(split) <= budget, splits)
    assert {frozenset(layer) for layer in auto_layer(closure, budget)} == expected
