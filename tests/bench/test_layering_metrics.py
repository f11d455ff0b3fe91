"""The figures of the layering benchmark: by hand, and against plans made anew."""

from __future__ import annotations

from dataclasses import astuple
from functools import cache

import pytest
from bench.layering.contenders import Contender, Track, ours, published
from bench.layering.debianfleet import Graph, Package
from bench.layering.later import later
from bench.layering.metrics import Figures, after, change, images, measured, stored
from bench.layering.published import Layers
from support.fakestore import store_path

from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.plan.layers.popularity import package_of

LIBC, OPENSSL, WEB, MAIL = (store_path(name) for name in ("libc", "libssl3", "web", "mail"))


def info(path: StorePath, size: int, *references: StorePath) -> PathInfo:
    return PathInfo(path, bytes(32), size, tuple(sorted(references)))


def two_images() -> list[Closure]:
    """A server with and one without OpenSSL, on one C library."""
    libc = info(LIBC, 100)
    web = Closure.of([libc, info(OPENSSL, 10, LIBC), info(WEB, 1, LIBC, OPENSSL)], [WEB])
    return [web, Closure.of([libc, info(MAIL, 2, LIBC)], [MAIL])]


@pytest.mark.parametrize(
    ("web", "figures"),
    [
        pytest.param(
            [[LIBC], [OPENSSL], [WEB]],
            Figures(1, 1, 1, 1),
            id="a layer for each path costs nothing",
        ),
        pytest.param(
            [[LIBC, OPENSSL], [WEB]],
            # Any of web's three: 111, 111 and 1 for 111, 11 and 1; of mail's two: 102 and 2.
            Figures(
                213 / 113,
                1,
                ((111 + 111 + 1) / 3 + (102 + 2) / 2) / ((111 + 11 + 1) / 3 + (102 + 2) / 2),
                111 / 11,
            ),
            id="a library in the layer of what it refers to has that pushed and stored again",
        ),
        pytest.param(
            [[LIBC, OPENSSL, WEB]],
            Figures(
                213 / 113,
                (111 + 2) / (1 + 2),
                (111 + (102 + 2) / 2) / ((111 + 11 + 1) / 3 + (102 + 2) / 2),
                111 / 11,
            ),
            id="in one layer everything is pushed with every change",
        ),
    ],
)
def test_figures_follow_by_hand(web: Layers, figures: Figures) -> None:
    found = measured(images(two_images()), [web, [[LIBC], [MAIL]]])
    assert astuple(found) == pytest.approx(astuple(figures))


def test_a_layer_of_the_same_paths_is_stored_once() -> None:
    web, mail = two_images()
    assert stored([(web, [[LIBC], [OPENSSL, WEB]]), (mail, [[LIBC], [MAIL]])]) == 1
    assert stored([(web, [[LIBC, OPENSSL, WEB]]), (mail, [[LIBC], [MAIL]])]) == 213 / 113


def test_without_a_change_nothing_is_pushed() -> None:
    web, _ = two_images()
    assert after([([[LIBC], [OPENSSL, WEB]], web, [[OPENSSL, WEB], [LIBC]])]) == 1


# --- a small distribution --------------------------------------------------------


@cache
def graph() -> Graph:
    """Sixty packages: each needs up to three of those before it; three are applications."""
    packages: dict[str, Package] = {}
    for n in range(60):
        needs = {f"p{n * k % 61 % n}" for k in (7, 11, 13)} if n else set()
        size = 1000 * (n * 37 % 59 + 1)
        packages[f"p{n}"] = Package(f"p{n}", f"1.{n}", size, tuple(sorted(needs)))
    return Graph(packages)


def fleet() -> list[Closure]:
    return [graph().closure(name) for name in ("p57", "p58", "p59")]


CONTENDERS = [*published(fleet()), *ours("ours", None)]


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
def test_one_plan_tells_what_a_second_one_would_push(contender: Contender) -> None:
    predicted, found = [], []
    for image in images(fleet()):
        plan = contender.plan(image.closure, 8)
        (root,) = image.closure.roots
        for path in image.closure:
            bumped = graph().bumped([package_of(path.name)]).closure(package_of(root.name))
            again = contender.again(bumped, 8, plan)
            pushed, changed = change(image, plan, [path])
            predicted.append(pushed / changed)
            found.append(after([(plan, bumped, again)]))
    if contender.name == "nix2container":  # breaks ties by hashes, and there are many
        assert sum(predicted) <= sum(found)
    else:
        assert found == pytest.approx(predicted)


# --- the later state -------------------------------------------------------------


def test_a_later_state_has_new_versions_and_new_hashes_above_them() -> None:
    before, after_ = fleet(), later(fleet(), 0.1)
    old = {path for closure in before for path in closure}
    for one, two in zip(before, after_, strict=True):
        assert package_of(one.roots[0].name) == package_of(two.roots[0].name)
        for path, known in two.infos.items():
            if path in old:
                assert old.issuperset(known.references)
                assert one.infos[path] == known
            else:
                bumped = path.name not in {other.name for other in one}
                assert bumped or not old.issuperset(known.references)


def test_a_later_state_is_the_same_every_time_and_another_for_another_salt() -> None:
    assert later(fleet(), 0.1) == later(fleet(), 0.1)
    assert later(fleet(), 0.1) != later(fleet(), 0.1, "b")


def test_nothing_is_new_in_a_state_with_nothing_bumped() -> None:
    assert later(fleet(), 0) == tuple(fleet())


def test_a_path_that_refers_to_itself_has_not_changed_for_that() -> None:
    alone = Closure.of([info(LIBC, 100, LIBC)], [LIBC])
    assert later([alone], 0) == (alone,)


def test_everything_is_new_in_a_state_with_all_bumped() -> None:
    old = {path for closure in fleet() for path in closure}
    assert old.isdisjoint(path for closure in later(fleet(), 1) for path in closure)


def test_a_track_has_a_row_for_every_contender() -> None:
    rows = Track.of(fleet()).rows(8)
    assert [row.name for row in rows] == [
        *(contender.name for contender in CONTENDERS),
        "ours, index",
        "ours, index, plan-from",
    ]
