"""What differs between two images: each store path once, and the other way round from the other."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakestore import store_path

from nix2oci.compare.difference import Change, Contents, Fate, Layer, Setting, difference
from nix2oci.model.closure import StorePath


def side(*names: str, salt: str = "", settings: Mapping[str, str] | None = None) -> Contents:
    """An image that has a layer for each path; its size is the length of the name."""
    paths = [store_path(name, salt=salt) for name in names]
    return image([(path,) for path in paths], settings)


def image(
    layers: list[tuple[StorePath, ...]], settings: Mapping[str, str] | None = None
) -> Contents:
    sizes = {path: len(path.name) for paths in layers for path in paths}
    made = [
        Layer(paths, 10 * len(paths), "sha256:" + "+".join(map(str, paths)), f"diff:{paths}")
        for paths in layers
    ]
    return Contents(sizes, tuple(made), settings)


def told(changes: tuple[Change, ...]) -> list[str]:
    return [
        " ".join([change.fate, *(str(held.path.name) for held in (change.old, change.new) if held)])
        for change in changes
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(["a-1"], ["a-1"], [], id="nothing"),
        pytest.param([], ["a-1"], ["added a-1"], id="a path that came"),
        pytest.param(["a-1"], [], ["removed a-1"], id="a path that went"),
        pytest.param(["a-1"], ["a-2"], ["updated a-1 a-2"], id="another version"),
        pytest.param(["a-2"], ["a-1"], ["updated a-2 a-1"], id="an older version"),
        pytest.param(["a"], ["a-1"], ["updated a a-1"], id="a version where there was none"),
        pytest.param(["a-1"], ["b-1"], ["added b-1", "removed a-1"], id="another package"),
        pytest.param(
            ["a-1", "a-1-dev"],
            ["a-2", "a-2-dev"],
            ["updated a-1-dev a-2-dev", "updated a-1 a-2"],
            id="outputs stay apart",
        ),
        pytest.param(
            ["a-1-dev"], ["a-1-bin"], ["added a-1-bin", "removed a-1-dev"], id="another output"
        ),
        pytest.param(
            ["a-1.1", "a-3.9"],
            ["a-3.10"],
            ["updated a-3.9 a-3.10", "removed a-1.1"],
            id="of several versions the newest belong together",
        ),
        pytest.param(
            ["a-1", "a-2"], ["a-2", "a-3"], ["updated a-1 a-3"], id="a version on both sides"
        ),
    ],
)
def test_changes_of_store_paths(old: list[str], new: list[str], expected: list[str]) -> None:
    assert told(difference(side(*old), side(*new)).changes) == expected


def test_the_same_name_with_another_hash_is_rebuilt() -> None:
    found = difference(side("a-1", "b"), side("a-1", "b", salt="x"))
    assert told(found.changes) == ["rebuilt a-1 a-1", "rebuilt b b"]
    old = image([(store_path("a-1"),), (store_path("a-2"),)])
    new = image([(store_path("a-1", salt="x"),)])
    assert told(difference(old, new).changes) == ["removed a-2", "rebuilt a-1 a-1"]


def test_growth_is_what_the_new_side_has_more() -> None:
    found = difference(side("a-1", "gone"), side("a-1.25", "come-1"))
    growth = {change.name.package: change.growth for change in found.changes}
    assert growth == {"a": 3, "gone": -4, "come": 6}


def test_layers_of_images_are_the_same_by_digest() -> None:
    old, new = side("a", "b", "c"), side("a", "x", "c")
    found = difference(old, new)
    assert [layer.paths for layer in found.kept] == [new.layers[0].paths, new.layers[2].paths]
    assert (found.added, found.lost) == ((new.layers[1],), (old.layers[1],))
    assert (found.moved, found.reused, found.in_order) == (10, 1, 20)


def test_a_layer_that_is_there_twice_moves_once() -> None:
    a, b = store_path("a"), store_path("b")
    found = difference(image([(a,)]), image([(b,), (b,), (a,)]))
    assert found.moved == 10


def test_a_layer_that_is_compressed_in_another_way_moves() -> None:
    old = side("a")
    new = Contents(old.paths, (Layer(old.layers[0].paths, 7, "other", old.layers[0].diff_id),))
    found = difference(old, new)
    assert (bool(found), found.changes, found.moved) == (True, (), 7)


def test_planned_layers_are_the_same_by_their_store_paths() -> None:
    a, b = store_path("a"), store_path("b")
    real = Contents({a: 1, b: 1}, (Layer((a,), 5, "x"), Layer((b,), 6, "y"), Layer((), 7, "view")))
    planned = Contents({a: 1, b: 1}, (Layer((a,), 100), Layer((b,), 200)))
    assert not difference(real, planned)
    assert not difference(planned, real)
    found = difference(real, Contents({a: 1, b: 1}, (Layer((a, b), 300),)))
    assert (found.moved, found.changes, len(found.lost)) == (300, (), 2)


def test_settings_that_differ() -> None:
    old = side(settings={"user": "0", "env A": "1", "cmd": "x"})
    new = side(settings={"user": "1", "cmd": "x", "env B": ""})
    assert difference(old, new).settings == (
        Setting("user", "0", "1"),
        Setting("env A", "1", None),
        Setting("env B", None, ""),
    )
    assert difference(old, side()).settings == ()


NAMES = st.sampled_from(
    [f"{name}{version}" for name in ("a", "b") for version in ("", "-1", "-2", "-10", "-1-dev")]
)
PATHS = st.builds(lambda name, salt: store_path(name, salt=salt), NAMES, st.sampled_from("xyz"))
SIDES = st.lists(st.lists(PATHS, min_size=1, max_size=3).map(tuple), max_size=6).map(image)


@given(SIDES)
def test_an_image_does_not_differ_from_itself(one: Contents) -> None:
    found = difference(one, one)
    assert not found
    assert (found.moved, found.in_order) == (0, 0)


@given(SIDES, SIDES)
def test_the_other_way_round_everything_is_the_other_way_round(
    one: Contents, other: Contents
) -> None:
    there, back = difference(one, other), difference(other, one)
    mirrored = {(change.new, change.old) for change in back.changes}
    assert {(change.old, change.new) for change in there.changes} == mirrored
    assert (set(there.added), set(there.lost)) == (set(back.lost), set(back.added))
    assert there.reused == back.reused


@given(SIDES, SIDES)
def test_every_store_path_that_one_side_has_is_in_one_change(
    one: Contents, other: Contents
) -> None:
    changes = difference(one, other).changes
    old = [change.old.path for change in changes if change.old]
    new = [change.new.path for change in changes if change.new]
    assert sorted(old) == sorted(one.paths.keys() - other.paths.keys())
    assert sorted(new) == sorted(other.paths.keys() - one.paths.keys())
    assert sum(change.growth for change in changes) == other.nar_size - one.nar_size
    assert all(
        change.fate is not Fate.UPDATED or change.old.name.package == change.new.name.package
        for change in changes
        if change.old and change.new
    )
