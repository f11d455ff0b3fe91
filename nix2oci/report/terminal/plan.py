"""A plan as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nix2oci import text
from nix2oci.model.closure import Closure
from nix2oci.oci.layer.compression import Compressions
from nix2oci.pipeline.stored_as import of_store_layer
from nix2oci.plan.layers.layering import LayerPlan, Plan
from nix2oci.plan.shell import ShellDecision
from nix2oci.report import shell_text
from nix2oci.report.terminal import base_image
from nix2oci.report.terminal.styled import Span, Table, Text

if TYPE_CHECKING:
    from nix2oci.pipeline.on_base import Overlay

_SHOWN = 4
"""Names of store paths in a row without -v."""


def plan_text(
    closure: Closure,
    plan: Plan,
    decision: ShellDecision | None,
    on: Overlay | None,
    stored: Compressions,
    *,
    every: bool,
) -> Text:
    """The plan for people: a line for each layer, one for the image's own, then the shells.

    Where layers are stored in several ways, each says in which.
    """
    shown = None if every else _SHOWN
    ways = stored if len(stored.all) > 1 else None
    rows = [_row(number, layer, ways, shown) for number, layer in enumerate(plan.layers, 1)]
    shared = ("shared by",) if plan.fleet else ()
    head = ("layer", "size", "risk", *(("stored as",) if ways else ()), "used by", *shared)
    total = (
        f"{text.count(len(closure), 'store path')}, {text.size(closure.nar_size)}, "
        f"in {text.count(len(plan.layers), 'layer')}; {_last_layer(plan)}"
    )
    under = [*base_image.details(on, every=every)] if on else []
    lines = shell_text.details(decision, every=every) if decision else []
    below = [line if every else (Span(line, short=shell_text.shortened(line)),) for line in lines]
    return [Table((*head, "paths", "names"), rows), total, *under, *([""] if below else []), *below]


def _last_layer(plan: Plan) -> str:
    """Where the root is, which is part of no layer of the plan unless there is but one."""
    if plan.has_root:
        return "it holds /bin, /etc and the like as well: nothing of it is reused"
    return "the last layer of the image holds /bin, /etc and the like"


def _row(
    number: int, layer: LayerPlan, ways: Compressions | None, shown: int | None
) -> tuple[object, ...]:
    stored = (of_store_layer(layer, ways).asked,) if ways else ()
    shared = () if layer.shared_by is None else (layer.shared_by,)
    risk = f"{100 * layer.risk:.1f}%"
    many = len(layer.paths)
    size = text.size(layer.nar_size)
    names = text.and_more([path.name for path in layer.paths], shown)
    return (number, size, risk, *stored, layer.popularity, *shared, many, names)
