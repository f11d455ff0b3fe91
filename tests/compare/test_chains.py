"""Chains of references are real and sorted; what goes with a path is what it alone keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakestore import store_path

from nix2oci.compare.chains import Graph, named
from nix2oci.model.closure import StorePath


def graph(references: Mapping[str, str], *roots: str) -> Graph:
    """Paths by name, each with those that it refers to; sizes are powers of two."""
    paths = {name: store_path(name) for name in references}
    return Graph.of(
        {path: 1 << number for number, path in enumerate(paths.values())},
        {
            paths[name]: [paths[other] for other in text.split()]
            for name, text in references.items()
        },
        {paths[root]: ("entrypoint",) for root in roots},
    )


def chains(of: Graph, name: str, most: int = 100) -> list[str]:
    found = islice(of.chains(store_path(name)), most)
    return [" ".join(path.name for path in chain) for chain in found]


def names(paths: tuple[StorePath, ...]) -> list[str]:
    return [path.name for path in paths]


WEB = {"app": "env lib", "env": "python", "python": "bash lib", "bash": "lib", "lib": ""}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("app", ["app"], id="a root"),
        pytest.param("bash", ["app env python bash"], id="one chain"),
        pytest.param(
            "lib",
            ["app lib", "app env python lib", "app env python bash lib"],
            id="several chains, the shortest first",
        ),
    ],
)
def test_chains_from_the_root(name: str, expected: list[str]) -> None:
    assert chains(graph(WEB, "app"), name) == expected


def test_a_root_that_another_one_refers_to_has_chains_from_both() -> None:
    assert chains(graph(WEB, "app", "python"), "bash") == [
        "python bash",
        "app env python bash",
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("lib", ["lib"], id="what refers to nothing goes alone"),
        pytest.param("python", ["bash", "python"], id="what others keep stays"),
        pytest.param("env", ["bash", "env", "python"], id="a chain goes with its start"),
        pytest.param("app", sorted(WEB), id="everything goes with the only root"),
    ],
)
def test_what_would_go_with_a_path(name: str, expected: list[str]) -> None:
    assert names(graph(WEB, "app").only_through(store_path(name))) == expected


def test_referrers() -> None:
    assert names(graph(WEB, "app").referrers(store_path("lib"))) == ["app", "bash", "python"]


def test_what_no_root_leads_to_is_a_root() -> None:
    found = graph({"app": "", "stray": "other", "other": "", "x": "y", "y": "x"}, "app")
    reasons = {path.name: reason for path, (reason,) in found.roots.items()}
    assert reasons == {"app": "entrypoint", "stray": "nothing refers to it", "x": "a circle"}
    assert chains(found, "other") == ["stray other"]
    assert chains(found, "y") == ["x y"]


def test_a_circle_ends() -> None:
    found = graph({"app": "x", "x": "y", "y": "x z", "z": "x"}, "app")
    assert chains(found, "x") == ["app x"]
    assert chains(found, "z") == ["app x y z"]


def test_very_many_chains_are_not_all_looked_at() -> None:
    """30 steps, each two ways: 2^30 chains of one length."""
    ladder = {f"{side}{n}": f"a{n + 1} b{n + 1}" for n in range(30) for side in "ab"}
    found = graph({"app": "a0 b0", **ladder, "a30": "end", "b30": "end", "end": ""}, "app")
    assert len(chains(found, "end", 5)) == 5


# --- laws --------------------------------------------------------------------------------------


@st.composite
def graphs(draw: st.DrawFn, *, circles: bool = True) -> Graph:
    size = draw(st.integers(1, 7))
    edges = draw(st.sets(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))))
    roots = draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=2))
    references = {
        f"p{n}": " ".join(f"p{m}" for k, m in sorted(edges) if k == n and (circles or m > n))
        for n in range(size)
    }
    return graph(references, *(f"p{root}" for root in roots))


def every_chain(of: Graph, path: StorePath) -> Iterator[tuple[StorePath, ...]]:
    """By going forwards from each root, without a circle."""
    waiting: list[tuple[StorePath, ...]] = [(root,) for root in of.roots]
    while waiting:
        chain = waiting.pop()
        if chain[-1] == path:
            yield chain
        else:
            waiting += [(*chain, o) for o in of.references[chain[-1]] if o not in chain]


@given(graphs())
def test_chains_are_all_that_there_are_and_sorted(of: Graph) -> None:
    for path in of.sizes:
        found = list(islice(of.chains(path), 2000))
        assert sorted(found) == sorted(every_chain(of, path))
        assert all(len(one) <= len(other) for one, other in pairwise(found))
        for chain in found:
            assert chain[0] in of.roots
            assert all(other in of.references[one] for one, other in pairwise(chain))


@given(graphs())
def test_what_goes_is_the_closure_less_the_closure_without_the_path(of: Graph) -> None:
    """Take the path out of the graph, and see what the roots still lead to."""

    def reached(gone: StorePath | None) -> set[StorePath]:
        left = {path for path in of.roots if path != gone}
        while more := {o for p in left for o in of.references[p] if o != gone} - left:
            left |= more
        return left

    for path in of.sizes:
        gone = of.only_through(path)
        assert set(gone) == reached(None) - reached(path)
        assert of.size(gone) == of.size(reached(None)) - of.size(reached(path))


# --- names -------------------------------------------------------------------------------------

KNOWN = [
    store_path(name)
    for name in ("openssl-3.0.14", "openssl-3.0.14-dev", "openssl-1.1.1", "open", "web-app")
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("openssl-1.1.1", ["openssl-1.1.1"], id="a whole name"),
        pytest.param("openssl-3.0.14", ["openssl-3.0.14"], id="a whole name, not its outputs"),
        pytest.param(
            "openssl",
            ["openssl-1.1.1", "openssl-3.0.14", "openssl-3.0.14-dev"],
            id="a name without a version",
        ),
        pytest.param("openssl (dev)", ["openssl-3.0.14-dev"], id="an output, as diff has it"),
        pytest.param("open", ["open"], id="a name that begins others"),
        pytest.param("web", [], id="a part of a name"),
        pytest.param("", [], id="nothing"),
        pytest.param(str(KNOWN[3]), ["open"], id="a store path"),
        pytest.param(f"{KNOWN[0]}/lib/x", ["openssl-3.0.14"], id="a file in a store path"),
        pytest.param(KNOWN[4].hash_part, ["web-app"], id="a hash part"),
        pytest.param(KNOWN[4].base, ["web-app"], id="a base name"),
    ],
)
def test_a_text_names_store_paths(text: str, expected: list[str]) -> None:
    assert names(named(KNOWN, text)) == expected
