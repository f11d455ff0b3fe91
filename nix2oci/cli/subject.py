"""What names on the command line of `plan`, `diff` and `why` stand for, opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nix2oci.cli import options, pinned
from nix2oci.errors import ConfigError, OutputError
from nix2oci.model.closure import Closure
from nix2oci.nix.output import path_infos
from nix2oci.pipeline.prepare import Prepared, prepare
from nix2oci.plan.layers.layering import Plan, plan_layers, store_layers


def recorded_closure(path: str) -> Closure:
    """The closure of a recorded `nix path-info --json --recursive`."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as err:
        raise OutputError(f"cannot read {path}: {err.strerror}") from err
    return Closure.of_all(path_infos(text))


@contextmanager
def planned_image(
    texts: tuple[str, ...], values: dict[str, Any], *, by_wishes: bool = True
) -> Iterator[Prepared]:
    """What `nix2oci build` would make of installables; `values` are left as they are.

    Without `by_wishes` the plan is made without what `layers` names, which need not be there.
    """
    values = dict(values)
    nix = options.nix(values)
    named = options.named(nix, texts, values.pop("file"))
    lock = options.lock_path(values, named[0])
    spec = options.image_spec(values, named[0])
    hints = options.hints(spec, values) if by_wishes else None
    base = pinned.pinned_base(spec, lock, values)
    added = [nix.installable(more) for more in spec.contents]
    packages = options.evaluate(nix, (*named, *added), values)
    told = options.progress(values)
    with (
        base.opener() as opener,
        prepare(nix, packages, spec, told, hints=hints, opener=opener) as found,
    ):
        options.say_remarks(found.closure, found.plan, hints, values)
        yield found


def planned_record(path: str, values: dict[str, Any]) -> tuple[Closure, Plan]:
    """A recorded closure and the plan for it; `values` are left as they are."""
    spec = options.image_spec(dict(values), None)
    if spec.base:
        raise ConfigError("cannot plan --closure on a base image: a record names no platform")
    closure = recorded_closure(path)
    hints = options.hints(spec, values)
    plan = plan_layers(closure, store_layers(spec.max_layers), hints)
    options.say_remarks(closure, plan, hints, values)
    return closure, plan
