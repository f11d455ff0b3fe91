"""The picture of a fleet: a row for each layer, a column for each image, filled where it has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nix2oci.report.page.fleet_values import Fleet, FleetLayer
from nix2oci.report.page.labels import number, rail
from nix2oci.report.page.layer_table import unfolding
from nix2oci.report.page.markup import Markup, element, figure, heading, row, table
from nix2oci.text import count, size


def matrix(fleet: Fleet) -> Markup:
    """All layers in the order of the fleet; a column leads to its image, `#image-2`."""
    columns = (
        element(
            "th",
            element("a", image.name, href=f"#image-{at}", title=image.name),
            scope="col",
            class_="image",
        )
        for at, image in enumerate(fleet.images, 1)
    )
    headings = ["Layer", "Store paths", element("th", scope="col", class_="bars")]
    headings += [heading("Size", "bytes"), heading("Used by", "used"), *columns]
    return table(headings, _rows(fleet), id="matrix", style=f"--images:{len(fleet.images)}")


def _rows(fleet: Fleet) -> Iterator[Markup]:
    largest = max((layer.nar_size for layer in fleet.layers), default=0) or 1
    again = {each.path: each.nar_size for each in fleet.again}
    before = ""
    for at, layer in enumerate(fleet.layers, 1):
        group = _group(layer)
        if group != before:
            yield _heading(group, [each for each in fleet.layers if _group(each) == group], fleet)
            before = group
        twice = sum(again.get(path, 0) for path in layer.paths)
        yield _row(at, layer, twice, largest, fleet)


def _group(layer: FleetLayer) -> str:
    if layer.application:
        return "The applications"
    return "In several images" if len(layer.images) > 1 else "In one image"


def _heading(group: str, layers: Sequence[FleetLayer], fleet: Fleet) -> Markup:
    """What the layers below it have in common, and how many bytes they are."""
    said = f"{count(len(layers), 'layer')}, {size(sum(layer.nar_size for layer in layers))}"
    together = sum(layer.nar_size * len(layer.images) for layer in layers)
    if any(len(layer.images) > 1 for layer in layers):
        said += f" instead of {size(together)}"
    columns = str(5 + len(fleet.images))
    cell = element(
        "th", group, " ", element("small", said), scope="rowgroup", colspan=columns, class_="group"
    )
    return row(cell)


def _row(at: int, layer: FleetLayer, twice: int, largest: int, fleet: Fleet) -> Markup:
    kind = "shared" if len(layer.images) > 1 else "own"
    bar = rail((kind, (layer.nar_size - twice) / largest), ("again", twice / largest))
    cells = (
        element("td", "●", title=image.name, class_="has") if image.name in layer.images else ""
        for image in fleet.images
    )
    return row(
        element("th", str(at), scope="row"),
        unfolding(layer.paths, fleet.sizes),
        element("td", bar, class_="bars"),
        figure(size(layer.nar_size), "bytes"),
        figure(number(len(layer.images)), "used"),
        *cells,
        id=f"layer-{at}",
        class_=kind,
    )
