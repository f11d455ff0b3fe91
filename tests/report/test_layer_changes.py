"""What another version of a store path moves: all that refers to it, in whole layers."""

from __future__ import annotations

from support.fakestore import store_path
from support.graphs import closure, info

from nix2oci.plan.layers.layering import Plan, plan_layers
from nix2oci.report.changes import bumps, edit

CLOSURE = closure(
    info("app", 10, "python", "assets"),
    info("assets", 500),
    info("python", 3000, "ssl", "libc"),
    info("ssl", 800, "libc"),
    info("libc", 2000),
)
APP = (store_path("app"),)


def layers_of(*names: str) -> tuple[int, ...]:
    """Where these paths are in the plan of four layers."""
    plan = plan_layers(CLOSURE, 5)
    return tuple(
        number
        for number, layer in enumerate(plan.layers)
        if {path.name for path in layer.paths} & {*names}
    )


def test_an_edit_moves_the_layer_of_the_application() -> None:
    change = edit(CLOSURE, plan_layers(CLOSURE, 5), APP)
    assert change is not None
    assert (change.path.name, change.paths, change.layers) == ("app", 1, layers_of("app"))


def test_another_version_moves_all_that_refers_to_it() -> None:
    found = {each.path.name: each for each in bumps(CLOSURE, plan_layers(CLOSURE, 5), APP)}
    assert [*found] == ["python", "libc", "ssl", "assets"]
    assert {name: each.paths for name, each in found.items()} == {
        "python": 2,
        "libc": 4,
        "ssl": 3,
        "assets": 2,
    }
    assert found["libc"].layers == layers_of("app", "python", "ssl", "libc")
    assert found["assets"].layers == layers_of("app", "assets")


def test_paths_that_share_a_layer_move_it_once() -> None:
    plan = plan_layers(CLOSURE, 1)
    assert {each.layers for each in bumps(CLOSURE, plan, APP)} == {(0,)}


def test_what_is_in_no_layer_of_the_plan_moves_none() -> None:
    """As where all is in the base image."""
    assert edit(CLOSURE, Plan(()), APP) is None
    assert bumps(CLOSURE, Plan(()), APP) == ()
