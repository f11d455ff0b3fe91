"""What the images of a run have in common, as a table."""

from __future__ import annotations

from collections.abc import Mapping

from nix2oci import text
from nix2oci.compare.shared_layers import FleetLayer, fleet_layers, stored_again
from nix2oci.model.closure import PathInfo, StorePath
from nix2oci.plan.layers.layering import Plan
from nix2oci.report.terminal.styled import Line, Table, Text

_SHOWN = 4
"""Names in a cell without -v."""
_MOST = 20
"""Rows without -v of what only one image has, or is stored again."""


def fleet_text(
    plans: Mapping[str, Plan], infos: Mapping[StorePath, PathInfo], *, every: bool
) -> Text:
    """A line for each layer, those that most images have first; then what is stored again."""
    shown = None if every else _SHOWN
    layers = fleet_layers(plans)
    shared = [layer for layer in layers if len(layer.images) > 1]
    listed = layers if every else shared
    rows = [_row(layer, shown) for layer in listed]
    together = sum(layer.nar_size * len(layer.images) for layer in layers)
    stored = sum(layer.nar_size for layer in layers)
    lines: list[str | Line | Table] = []
    if rows:
        lines.append(Table(("used by", "size", "paths", "names", "images"), rows))
    lines.append(
        f"{text.count(len(plans), 'image')} of {text.size(together)} together; "
        f"{text.size(stored)} is stored, in {text.count(len(layers), 'layer')}, "
        f"{len(shared)} of them in several images"
    )
    return [*lines, *_again(layers, infos, every=every)]


def _row(layer: FleetLayer, shown: int | None) -> tuple[object, ...]:
    names = text.and_more([path.name for path in layer.paths], shown)
    images = text.and_more(layer.images, shown)
    return (len(layer.images), text.size(layer.nar_size), len(layer.paths), names, images)


def _again(
    layers: list[FleetLayer], infos: Mapping[StorePath, PathInfo], *, every: bool
) -> list[str]:
    """Store paths that are in several layers, those first that cost most."""
    counts = stored_again(layers)
    costs = {path: infos[path].nar_size * (count - 1) for path, count in counts.items()}
    if not costs:
        return ["every store path is stored once"]
    most = sorted(costs, key=lambda path: (-costs[path], path))
    names = [f"{path.name} {text.size(costs[path])}" for path in most]
    listed = text.and_more(names, None if every else _MOST // 4)
    what = f"{text.count(len(costs), 'store path')}, {text.size(sum(costs.values()))}"
    return [f"stored again, in other layers: {what}: {listed}"]
