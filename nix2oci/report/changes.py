"""What a change of some store paths moves: they and all that refers to them, hence whole layers."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from nix2oci.model.closure import Closure, StorePath
from nix2oci.plan.layers.layering import Plan

_LARGE = 8
"""How many paths are worth a line."""


class Change(Struct, frozen=True):
    """A change of store paths of a closure."""

    path: StorePath
    """The first of them."""
    paths: int
    """How many get another name: they, and all that refers to them."""
    layers: tuple[int, ...]
    """Which layers of the plan have one of these, from 0."""


def edit(closure: Closure, plan: Plan, app: Collection[StorePath]) -> Change | None:
    """An edit of the application, which is in the paths `app`; None where the plan has none."""
    return _change(closure, plan, app)


def bumps(closure: Closure, plan: Plan, app: Collection[StorePath]) -> tuple[Change, ...]:
    """Another version of each of the largest other paths in the layers, the largest first."""
    planned = [path for layer in plan.layers for path in layer.paths if path not in app]
    planned.sort(key=lambda path: (-closure.infos[path].nar_size, path))
    found = (_change(closure, plan, [path]) for path in planned[:_LARGE])
    return tuple(each for each in found if each)


def _change(closure: Closure, plan: Plan, paths: Collection[StorePath]) -> Change | None:
    bit = {path: 1 << number for number, path in enumerate(closure)}
    users = closure.users(bit)
    moved = 0
    for path in paths:
        moved |= users[path]
    layers = [
        number
        for number, layer in enumerate(plan.layers)
        if any(bit[path] & moved for path in layer.paths)
    ]
    first = next(iter(paths), None)
    return Change(first, moved.bit_count(), tuple(layers)) if first and layers else None
