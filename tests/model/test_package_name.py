"""Names of store paths come apart as Nix takes them apart, and versions sort as Nix sorts them."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tools import require

from nix2oci.model.package_name import PackageName, version_order


@pytest.mark.parametrize(
    ("name", "parts", "title"),
    [
        pytest.param("hello-2.12", ("hello", "", "2.12"), "hello", id="a name and a version"),
        pytest.param("hello", ("hello", "", ""), "hello", id="no version"),
        pytest.param(
            "915resolution-0.5.2", ("915resolution", "", "0.5.2"), None, id="a digit first"
        ),
        pytest.param(
            "xf86-video-i810-1.7.4", ("xf86-video-i810", "", "1.7.4"), None, id="dashes in the name"
        ),
        pytest.param("name--1.0", ("name", "", "-1.0"), None, id="a dash at the end of the name"),
        pytest.param("xvidtune-?1-2", ("xvidtune", "", "?1-2"), None, id="an odd version"),
        pytest.param("ends-with-", ("ends-with-", "", ""), None, id="a dash at the very end"),
        pytest.param("glibc-2.38-44", ("glibc", "", "2.38-44"), None, id="a dash in the version"),
        pytest.param(
            "openssl-3.0.14-dev", ("openssl", "dev", "3.0.14"), "openssl (dev)", id="an output"
        ),
        pytest.param(
            "gcc-13.2.0-lib64", ("gcc", "lib64", "13.2.0"), None, id="an output with digits"
        ),
        pytest.param(
            "glibc-2.38-44-bin", ("glibc", "bin", "2.38-44"), None, id="a dash, and an output"
        ),
        pytest.param("web-app", ("web-app", "", ""), "web-app", id="a word that is no output"),
        pytest.param("pkg-1.0-2x", ("pkg", "", "1.0-2x"), None, id="a revision that is no output"),
    ],
)
def test_a_name_comes_apart(name: str, parts: tuple[str, str, str], title: str | None) -> None:
    parsed = PackageName.parse(name)
    assert (parsed.package, parsed.output, parsed.version) == parts
    assert str(parsed) == name
    assert title is None or parsed.title == title


NAMES = st.text("ab-1.?p", min_size=1, max_size=12)


@given(NAMES)
def test_any_name_is_what_its_parts_make(name: str) -> None:
    parsed = PackageName.parse(name)
    assert str(parsed) == name
    assert name.startswith(parsed.package)


# As `nix-env --upgrade` has them, the oldest first.
ASCENDING = ["", "pre1", "2.3pre1", "2.3pre3", "2.3pre12", "2.3", "2.3a", "2.3c", "2.3q", "2.3.1"]


def test_versions_sort_as_nix_sorts_them() -> None:
    known = ASCENDING[2:]
    assert sorted(sorted(known), key=version_order) == known
    assert version_order("2.9") < version_order("2.10") < version_order("10")
    assert version_order("2.3") == version_order("2-3")


@pytest.mark.real
def test_nix_agrees() -> None:
    """The rules, and Nix's own builtins."""
    require("nix-instantiate")
    names = ["a-b-1.2-dev", "a--1", "a-", "a1-?x", "x-1-y-2"]
    texts = " ".join(f'"{name}"' for name in names)
    expression = f"map (n: (builtins.parseDrvName n).name) [ {texts} ]"
    packages = [PackageName.parse(name).package for name in names]
    assert evaluated(expression) == "[ " + " ".join(f'"{name}"' for name in packages) + " ]"
    pairs = [(one, other) for one in ASCENDING for other in ASCENDING]
    texts = " ".join(f'(builtins.compareVersions "{one}" "{other}")' for one, other in pairs)
    orders = [(version_order(one), version_order(other)) for one, other in pairs]
    signs = [(one > other) - (one < other) for one, other in orders]
    assert evaluated(f"[ {texts} ]") == f"[ {' '.join(map(str, signs))} ]"


def evaluated(expression: str) -> str:
    argv = ["nix-instantiate", "--eval", "--strict", "--expr", expression]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


VERSIONS = st.lists(st.sampled_from(["1", "2", "10", "a", "pre", "rc", ".", "-"]), max_size=6)


@given(VERSIONS, VERSIONS)
def test_any_two_versions_can_be_compared(one: list[str], other: list[str]) -> None:
    first, second = version_order("".join(one)), version_order("".join(other))
    assert (first < second) + (second < first) + (first == second) == 1
