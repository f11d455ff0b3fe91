"""A popularity index as a value: what it counts, its file, and files that are none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.graphs import closure, graphs, info

from nix2oci.errors import ConfigError
from nix2oci.model.closure import Closure
from nix2oci.plan.layers.popularity import (
    PackageGroup,
    Popularity,
    SharedLayer,
    image_of,
    mark_of,
    package_of,
)

SHOP = closure(
    info("shop-1.0", 5, "python-3.12", "libc-2.39"),
    info("python-3.12", 60, "libc-2.39"),
    info("libc-2.39", 30),
    roots=("shop-1.0",),
)
ADMIN = closure(
    info("admin-7", 4, "python-3.13", "libc-2.38"),
    info("python-3.13", 64, "libc-2.38"),
    info("libc-2.38", 29),
    roots=("admin-7",),
)
TOOL = closure(info("tool-2", 3, "libc-2.39"), info("libc-2.39", 30), roots=("tool-2",))
FLEET = (SHOP, ADMIN, TOOL)

WRITTEN = """\
{
"format": 2,
"images": ["admin", "shop", "tool"],
"groups": [
{"images": [0], "packages": {"admin": 4}},
{"images": [0, 1], "packages": {"python": 64}},
{"images": [0, 1, 2], "packages": {"libc": 30}},
{"images": [1], "packages": {"shop": 5}},
{"images": [2], "packages": {"tool": 3}}
],
"layers": [

]
}
"""


def test_packages_are_counted_by_name_whatever_their_version() -> None:
    assert Popularity.counted(FLEET) == Popularity.of(
        ("admin", "shop", "tool"),
        (
            PackageGroup((0,), {"admin": 4}),
            PackageGroup((0, 1), {"python": 64}),
            PackageGroup((0, 1, 2), {"libc": 30}),
            PackageGroup((1,), {"shop": 5}),
            PackageGroup((2,), {"tool": 3}),
        ),
    )


def test_an_index_is_written_as_it_always_was() -> None:
    """Its digest is in images, so that other bytes for the same fleet are a change of images."""
    found = Popularity.counted(FLEET)
    assert str(found) == WRITTEN
    assert found.digest == (
        "sha256:abe699f70b0b9ea13d8975271e1b3997cabdc1a6a8bdcb479ad2d81364f4ff0d"
    )


def test_two_versions_in_one_image_count_once_with_the_larger_size() -> None:
    both = closure(info("app", 1, "lib-1", "lib-2"), info("lib-1", 10), info("lib-2", 7))
    found = Popularity.counted([both])
    assert found.groups == (PackageGroup((0,), {"app": 1, "lib": 10}),)


def test_two_images_of_one_package_are_two() -> None:
    found = Popularity.counted([SHOP, SHOP])
    assert found.images == ("shop", "shop")
    assert found.holders("libc").bit_count() == 2


def test_holders() -> None:
    found = Popularity.counted(FLEET)
    assert [found.holders(name) for name in ("libc", "python", "tool", "perl")] == [7, 3, 4, 0]


def test_an_image_that_is_not_counted_is_outside() -> None:
    found = Popularity.counted(FLEET)
    assert (found.outside(SHOP.roots), found.outside(closure(info("app", 1)).roots)) == (0, 1)


def test_an_output_is_a_package_of_its_own() -> None:
    names = ("openssl-3.0.14", "openssl-3.0.14-dev", "web-app")
    assert [package_of(name) for name in names] == ["openssl", "openssl (dev)", "web-app"]


def test_a_mark_tells_sets_apart_in_whatever_order() -> None:
    assert mark_of(["a", "b"]) == mark_of(["b", "a"]) == mark_of(["a"]) + mark_of(["b"])
    assert len({mark_of(each) for each in ("", "a", "b", "ab", "aa", "abc")}) == 6


@given(st.lists(graphs(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_closures_does_not_show(found: list[Any], random: Any) -> None:
    closures: list[Closure] = [graph.closure() for graph in found]
    shuffled = random.sample(closures, len(closures))
    assert str(Popularity.counted(shuffled)) == str(Popularity.counted(closures))


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)


@st.composite
def indices(draw: st.DrawFn) -> Popularity:
    images = draw(st.lists(NAMES, min_size=1, max_size=5))
    packages = draw(st.lists(NAMES, unique=True, max_size=6))
    sets = st.sets(st.integers(0, len(images) - 1), min_size=1)
    groups = [
        PackageGroup(tuple(sorted(draw(sets))), {package: draw(st.integers(0, 10**12))})
        for package in packages
    ]
    layer = st.builds(
        SharedLayer, st.lists(NAMES, min_size=1, max_size=4).map(tuple), st.integers(0, 9)
    )
    return Popularity.of(images, groups, draw(st.lists(layer, max_size=3)))


@given(indices())
def test_what_is_written_is_read_again(index: Popularity) -> None:
    again = Popularity.parse(str(index), "x")
    assert again == index
    assert again.digest == index.digest
    assert [again.holders(name) for each in index.groups for name in each.packages] == [
        index.holders(name) for each in index.groups for name in each.packages
    ]


def test_the_digest_is_of_the_value_however_it_was_laid_out() -> None:
    index = Popularity.counted(FLEET)
    pretty = json.dumps(json.loads(str(index)), indent=4)
    assert Popularity.parse(pretty, "x").digest == index.digest


def test_an_index_of_the_first_format_is_read() -> None:
    old = WRITTEN.replace('"format": 2', '"format": 1').replace('"groups"', '"companies"')
    assert Popularity.parse(old, "x") == Popularity.counted(FLEET)
    assert Popularity.parse(old, "x").digest == Popularity.counted(FLEET).digest


def document(**more: Any) -> str:
    good: dict[str, Any] = {
        "format": 2,
        "images": ["a", "b"],
        "groups": [{"images": [0, 1], "packages": {"libc": 30}}],
        "layers": [{"images": 2, "packages": ["libc", "libm"]}],
    }
    return json.dumps(good | more)


def test_the_document_that_the_bad_ones_are_made_of_is_good() -> None:
    assert Popularity.parse(document(), "x").holders("libc") == 3


def groups(images: object, packages: object) -> str:
    return document(groups=[{"images": images, "packages": packages}])


def layers(packages: object, images: object = 2) -> str:
    return document(layers=[{"images": images, "packages": packages}])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("{", id="half of JSON"),
        pytest.param("[" * 100_000, id="too deep"),
        pytest.param("[]", id="a list"),
        pytest.param("7", id="a number"),
        pytest.param("{}", id="no format"),
        pytest.param('{"format": 2}', id="a format alone"),
        pytest.param(document(images="ab"), id="images as text"),
        pytest.param(document(images=[1, 2]), id="images that are numbers"),
        pytest.param(document(images={"a": 1}), id="images as a mapping"),
        pytest.param(document(groups=None), id="no groups"),
        pytest.param(document(groups={}), id="groups as a mapping"),
        pytest.param(document(groups=["x"]), id="a group that is text"),
        pytest.param(groups([], {"libc": 1}), id="a group in no image"),
        pytest.param(groups([2], {"libc": 1}), id="an image that is not there"),
        pytest.param(groups([-1], {"libc": 1}), id="a negative image"),
        pytest.param(groups([1, 0], {"libc": 1}), id="images out of order"),
        pytest.param(groups([0, 0], {"libc": 1}), id="an image twice"),
        pytest.param(groups([True], {"libc": 1}), id="an image that is a boolean"),
        pytest.param(groups([0], ["libc"]), id="packages without sizes"),
        pytest.param(groups([0], {"libc": -1}), id="a negative size"),
        pytest.param(groups([0], {"libc": 1.5}), id="half a byte"),
        pytest.param(groups([0], {"\ud800": 1}), id="a name that is no Unicode"),
        pytest.param(
            document(groups=2 * [{"images": [0], "packages": {"libc": 1}}]),
            id="a package in two groups",
        ),
        pytest.param(document(layers="x"), id="layers as text"),
        pytest.param(layers([]), id="a layer of nothing"),
        pytest.param(layers("libc"), id="a layer that is text"),
        pytest.param(layers([1, 2]), id="a layer of numbers"),
        pytest.param(layers(["\udfff"]), id="a layer whose name is no Unicode"),
        pytest.param(layers(["libc"], "2"), id="a count that is text"),
    ],
)
def test_what_is_no_index_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as failure:
        Popularity.parse(text, "some/popularity.json")
    assert str(failure.value) == "cannot read popularity index some/popularity.json: it is not one"
    assert failure.value.hint is None


@pytest.mark.parametrize(
    ("format_", "shown"),
    [
        pytest.param(3, "3", id="a newer one"),
        pytest.param("1", "'1'", id="text"),
        pytest.param(None, "None", id="null"),
    ],
)
def test_another_format_is_refused(format_: object, shown: str) -> None:
    with pytest.raises(ConfigError) as failure:
        Popularity.parse(document(format=format_), "p.json")
    assert str(failure.value) == (
        f"cannot read popularity index p.json: its format is {shown}, not 2"
    )
    assert failure.value.hint == "make it again with 'nix2oci popularity'"


def test_an_image_is_called_as_its_first_root() -> None:
    two = closure(info("b-1", 1), info("a-1", 1), roots=("b-1", "a-1"))
    assert image_of(two.roots) == "b"
