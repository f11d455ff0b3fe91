"""A plan as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nix2oci import text
from nix2oci.model.closure import Closure
from nix2oci.plan.layers.layering import LayerPlan, Plan
from nix2oci.plan.shell import ShellDecision
from nix2oci.report import shell_text
from nix2oci.report.terminal import base_image
from nix2oci.report.terminal.table import table

if TYPE_CHECKING:
    from nix2oci.pipeline.on_base import Overlay

_SHOWN = 4
"""Names of store paths in a row."""


def plan_text(
    closure: Closure, plan: Plan, decision: ShellDecision | None, on: Overlay | None, *, every: bool
) -> str:
    """The plan for people: a line for each layer, one for the image's own, then the shells."""
    rows = [_row(number, layer) for number, layer in enumerate(plan.layers, 1)]
    shared = ("shared by",) if plan.fleet else ()
    head = ("layer", "size", "risk", "used by", *shared, "paths", "names")
    total = (
        f"{len(closure)} store paths, {text.size(closure.nar_size)}, "
        f"in {len(plan.layers)} layers; "
        "the last layer of the image holds /bin, /etc and the like"
    )
    under = [*base_image.details(on, every=every)] if on else []
    below = shell_text.details(decision, every=every) if decision else []
    return "\n".join([table(head, rows), total, *under, *([""] if below else []), *below])


def _row(number: int, layer: LayerPlan) -> tuple[object, ...]:
    shared = () if layer.shared_by is None else (layer.shared_by,)
    risk = f"{100 * layer.risk:.1f}%"
    many = len(layer.paths)
    size = text.size(layer.nar_size)
    names = text.and_more([path.name for path in layer.paths], _SHOWN)
    return (number, size, risk, layer.popularity, *shared, many, names)
