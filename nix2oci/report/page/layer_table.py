"""The table of layers: what the picture shows, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nix2oci.report.page.document import Layer, Plan
from nix2oci.report.page.labels import base, colour, name, number, rail, share, whole
from nix2oci.report.page.markup import Markup, element, figure, heading, joined, row, table
from nix2oci.text import and_more, count, size

_SHOWN = 3


def layers(document: Plan) -> Markup:
    """A row for each layer, base layer first; its paths unfold."""
    index = document.popularity
    headings = ["Layer", "Risk", heading("Size"), heading("Used by", "used")]
    headings += [heading("Shared by")] if index else []
    rows = (_row(n, layer, document) for n, layer in enumerate(document.layers, 1))
    return table([*headings, "Store paths"], rows, id="layers")


def explanation(document: Plan) -> Markup:
    """What the columns mean, in this plan."""
    return joined(element("p", text) for text in _explanation(document))


def _explanation(document: Plan) -> Iterator[str]:
    yield (
        "Base layer first. Risk is a layer's share of the bytes that are expected to move with the "
        "next update. The last layer of the image holds /bin, /etc and the like, and is not shown."
    )
    index = document.popularity
    if index:
        yield (
            "Used by says how many of the "
            f"{count(index.closures, 'image')} of the index {index.digest} use the layer's most "
            "popular path; shared by, how many of these have the very same layer, or its package "
            "where that is a layer of one store path."
        )
    else:
        yield (
            "Used by says how many store paths of this closure use the layer's most popular one. "
            "Without an index of other images nobody knows who shares a layer."
        )


def _row(position: int, layer: Layer, document: Plan) -> Markup:
    cells = [
        element("th", str(position), scope="row"),
        element("td", _bar(layer.risk, document.layers), share(layer.risk), class_="risk"),
        figure(size(layer.nar_size)),
        figure(number(layer.popularity), "used"),
    ]
    if document.popularity:
        shared_by = layer.shared_by
        cells.append(figure("unknown" if shared_by is None else number(shared_by)))
    return row(*cells, unfolding(layer.paths, document.sizes), id=f"layer-{position}")


def _bar(risk: float, among: Sequence[Layer]) -> Markup:
    """A bar that is as long as its cell for the largest risk."""
    return rail((colour(risk), risk / (max(layer.risk for layer in among) or 1)))


def unfolding(paths: Sequence[str], sizes: Mapping[str, int]) -> Markup:
    """Store paths, the largest first: some names, and all of them when one looks."""
    ordered = sorted(paths, key=lambda path: (-sizes[path], base(path)))
    items = (
        element(
            "li",
            element("code", whole(path)),
            " ",
            element("span", size(sizes[path]), class_="nowrap"),
            data_bytes=str(sizes[path]),
        )
        for path in ordered
    )
    return element(
        "details",
        element("summary", and_more([name(path) for path in ordered], _SHOWN)),
        element("ul", *items),
    )
