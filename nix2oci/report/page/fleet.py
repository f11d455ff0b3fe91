"""Several images as one page of HTML: which layers who shares, what is stored once and twice.

A pure function of the document that `plan --all --json` prints, by the rules of `page`.
"""

from __future__ import annotations

from collections.abc import Iterator

from nix2oci.report.page.document import Json
from nix2oci.report.page.first import fact, links
from nix2oci.report.page.fleet_values import Fleet, Image, read_fleet
from nix2oci.report.page.frame import fill
from nix2oci.report.page.labels import number, rail, whole
from nix2oci.report.page.markup import Markup, element, figure, heading, joined, row, table
from nix2oci.report.page.matrix import matrix
from nix2oci.text import and_more, count, size

_NAMED = 4


def fleet_page(document: Json, template: str) -> str:
    """The page of a fleet; `template` is page.html with fleet.html in it."""
    fleet = read_fleet(document)
    title = and_more([image.name for image in fleet.images], _NAMED)
    parts = {
        "tab": joined([f"{title} – layers of several images"]),  # noqa: RUF001
        "title": joined([title]),
        "lead": joined([]),
        "facts": joined(_facts(fleet)),
        "notes": joined([]),
        "matrix": matrix(fleet),
        "images": _images(fleet),
        "again": _again(fleet),
    }
    return fill(template, parts)


def _facts(fleet: Fleet) -> Iterator[Markup]:
    """The figures below the heading."""
    images, layers = len(fleet.images), len(fleet.layers)
    yield fact(str(images), "image" if images == 1 else "images")
    shared = f", {len(fleet.shared)} of them in several images"
    yield fact(str(layers), ("layer" if layers == 1 else "layers") + shared)
    yield fact(size(fleet.stored), "stored, uncompressed")
    yield fact(size(fleet.nar_size), "together, if nothing were shared")
    yield fact(size(sum(each.cost for each in fleet.again)), "stored again, in other layers")


def _images(fleet: Fleet) -> Markup:
    """A row for each image, in the order of the run."""
    largest = max((sum(_parts(image, fleet)) for image in fleet.images), default=0) or 1
    headings = ["Image", element("th", scope="col", class_="bars"), heading("Size")]
    headings += [heading("Shared"), heading("Own"), heading("Layers")]
    rows = (_image(at, image, largest, fleet) for at, image in enumerate(fleet.images, 1))
    return table(headings, rows, id="images")


def _parts(image: Image, fleet: Fleet) -> tuple[int, int]:
    """Bytes in layers that other images have too, and in those that it alone has."""
    layers = [fleet.layers[at - 1] for at in image.layers]
    own = sum(layer.nar_size for layer in layers if len(layer.images) == 1)
    return sum(layer.nar_size for layer in layers) - own, own


def _image(at: int, image: Image, largest: int, fleet: Fleet) -> Markup:
    shared, own = _parts(image, fleet)
    bar = rail(("shared", shared / largest), ("own", own / largest))
    return row(
        element("th", image.name, scope="row"),
        element("td", bar, class_="bars"),
        figure(size(shared + own)),
        figure(size(shared)),
        figure(size(own)),
        figure(number(len(image.layers))),
        id=f"image-{at}",
    )


def _again(fleet: Fleet) -> Markup:
    """Store paths that are in several layers, those first that cost most."""
    if not fleet.again:
        return element("p", "Every store path is stored once.")
    cost = size(sum(each.cost for each in fleet.again))
    rows = (
        row(
            figure(size(each.cost)),
            figure(size(each.nar_size)),
            links(each.layers),
            element("code", whole(each.path)),
        )
        for each in fleet.again
    )
    headings = [heading("Stored again"), heading("Size"), "Layers", "Store path"]
    return joined(
        [
            element(
                "p",
                f"{count(len(fleet.again), 'store path')}, {cost}: no plan within max-layers has "
                "each of them in one layer, so that a path is stored with each layer it is in.",
            ),
            table(headings, rows, id="again"),
        ]
    )
