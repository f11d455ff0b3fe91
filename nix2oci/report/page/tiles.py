"""The picture of a plan: a box for each layer, within it one for each store path.

Boxes are HTML elements whose places are shares of the box around them, so that the picture is
there without a script and fits any window. What would be too small to see is put together in one
box, "and 12 more", which shows what is in it when its layer is looked at alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from msgspec import Struct

from nix2oci.report.page.document import Layer, Plan
from nix2oci.report.page.labels import LEGEND, base, colour, name, number, share
from nix2oci.report.page.markup import Markup, element
from nix2oci.report.page.treemap import Box, squarify
from nix2oci.text import and_more, count, more, size

WHOLE = Box(0, 0, 1600, 1000)
"""The shape in which the boxes are squarest; the page may stretch it a little."""

_LEAST_LAYER = 1 / 5000
_LEAST_PATH = 1 / 2500
"""Shares of the picture: what is smaller is put together."""


class Tile(Struct, frozen=True):
    """A box with nothing in it: a store path, or a layer among those too small to show.

    `names` is what the filter looks at; `about` is shown on hovering. The first of a layer has its
    number as `mark`, and says the risk, so that the colour has a meaning where it is seen.
    """

    mark: str
    label: str
    nar_size: int
    risk: float
    names: str
    about: str

    @property
    def weight(self) -> int:
        return max(self.nar_size, 1)


class Group(Struct, frozen=True):
    """A box with boxes in it: a layer with its paths, or the layers too small to show."""

    title: str
    href: str
    risk: float
    large: Sequence[Tile]
    small: Sequence[Tile]
    kind: str

    @property
    def tiles(self) -> tuple[Tile, ...]:
        return (*self.large, *self.small)

    @property
    def weight(self) -> int:
        return sum(tile.weight for tile in self.tiles)


Sized = TypeVar("Sized", Tile, Group)


def picture(document: Plan) -> Markup:
    """All layers of a plan; each leads to its row in the table, `#layer-3`."""
    total = sum(max(nar_size, 1) for nar_size in document.sizes.values())
    groups = [
        _layer(position, layer, document, total * _LEAST_PATH)
        for position, layer in enumerate(document.layers, 1)
    ]
    large, small = _parted(groups, total * _LEAST_LAYER)
    if small:
        large.append(_small_layers(small))
    boxes = squarify([group.weight for group in large], WHOLE)
    parts = [_group(group, box) for group, box in zip(large, boxes, strict=True)]
    pins = (_pin(group, box, document.app) for group, box in zip(large, boxes, strict=True))
    return element("div", *parts, *filter(None, pins), class_="map", id="map")


def _pin(group: Group, box: Box, app: Sequence[str]) -> Markup | None:
    """Says where the application is, however small its box; None where it is in another group."""
    wanted = {base(path) for path in app[:1]}
    small = any(wanted & {*tile.names.split(" ")} for tile in group.small)
    spots = _spots(group, box)
    found = [spot for tile, spot in zip(group.large, spots, strict=False) if tile.names in wanted]
    if not found and not small:
        return None
    spot = (found or spots[-1:])[0]
    left, top = box.left + spot.left + spot.width, box.top + spot.top + spot.height
    place = f"left:{100 * left / WHOLE.width:.3f}%;top:{100 * top / WHOLE.height:.3f}%"
    return element("span", element("span", "application"), class_="pin", style=place)


def legend() -> Markup:
    """What the colours say."""
    keys = (
        element("li", element("span", class_=f"key r{n}"), text) for n, text in enumerate(LEGEND)
    )
    return element("ul", *keys)


def _parted(sized: Sequence[Sized], least: float) -> tuple[list[Sized], list[Sized]]:
    """What is large enough to show, and what is not; one alone is always shown."""
    small = [each for each in sized if each.weight < least]
    if len(small) < 2:
        return list(sized), []
    return [each for each in sized if each.weight >= least], small


def _layer(position: int, layer: Layer, document: Plan, least: float) -> Group:
    sizes, about = document.sizes, "\n".join(_about(position, layer, document))
    ordered = sorted(layer.paths, key=lambda path: (-sizes[path], base(path)))
    tiles = [
        Tile(
            str(position) if path == ordered[0] else "",
            name(path),
            sizes[path],
            layer.risk,
            base(path),
            f"{base(path)}\n{size(sizes[path])}\n{about}",
        )
        for path in ordered
    ]
    title = f"layer {position}, {size(layer.nar_size)}, {share(layer.risk)} of the risk"
    return Group(title, f"#layer-{position}", layer.risk, *_parted(tiles, least), "paths")


def _about(position: int, layer: Layer, document: Plan) -> Iterator[str]:
    """What is said of every path in a layer."""
    yield f"layer {position} of {len(document.layers)}, with {share(layer.risk)} of the risk"
    index = document.popularity
    images = f"{number(layer.popularity)} of {count(index.closures, 'image')}" if index else ""
    yield f"used by {images or count(layer.popularity, 'store path')}"
    if layer.shared_by is not None:
        yield f"shared by {number(layer.shared_by)}"


def _small_layers(groups: Sequence[Group]) -> Group:
    """The layers that are too small to show, each as one tile."""
    tiles = []
    for group in groups:
        first, *rest = group.tiles
        label = and_more([tile.label for tile in group.tiles], 1)
        names = " ".join(tile.names for tile in group.tiles)
        nar_size = sum(tile.nar_size for tile in group.tiles)
        about = first.about if not rest else f"{group.title}: {label}"
        tiles.append(Tile(first.mark, label, nar_size, group.risk, names, about))
    risk = sum(tile.risk for tile in tiles)
    title = f"{len(tiles)} more layers, {share(risk)} of the risk"
    return Group(title, "#layers", risk, (), tiles, "layers")


def _spots(group: Group, box: Box) -> Sequence[Box]:
    """Where the tiles of a group are in its box: the large ones, then one for the small ones."""
    weights = [tile.weight for tile in group.large]
    small = sum(tile.weight for tile in group.small)
    return squarify([*weights, *([small] if small else [])], Box(0, 0, box.width, box.height))


def _group(group: Group, box: Box) -> Markup:
    """A link to a row of the table; of class `deep` where there is something to look at alone."""
    around = Box(0, 0, box.width, box.height)
    spots = _spots(group, box)
    parts = [
        _tile(tile, _place(spot, around)) for tile, spot in zip(group.large, spots, strict=False)
    ]
    if group.small:
        parts.append(_more(group, spots[-1], around))
    return element(
        "a",
        *parts,
        class_=f"layer {colour(group.risk)}{' deep' if len(group.tiles) > 1 else ''}",
        href=group.href,
        style=_place(box, WHOLE),
        aria_label=group.title,
    )


def _tile(tile: Tile, place: str, colour_class: str | None = None) -> Markup:
    return element(
        "span",
        _label(tile.mark, tile.label, tile.nar_size, tile.risk),
        class_=" ".join(filter(None, ["tile", colour_class])),
        title=tile.about,
        data_names=tile.names,
        style=place,
    )


def _more(group: Group, box: Box, around: Box) -> Markup:
    """One box for all small ones, which are in it for when there is room."""
    inside = Box(0, 0, box.width, box.height)
    boxes = squarify([tile.weight for tile in group.small], inside)
    parts = (
        _tile(tile, _place(spot, inside), colour(tile.risk))
        for tile, spot in zip(group.small, boxes, strict=True)
    )
    many, nar_size = len(group.small), sum(tile.nar_size for tile in group.small)
    if group.kind == "layers":
        label = _label("", f"{many} more layers", nar_size)
    elif group.large:
        label = _label("", more(many, 0), nar_size)
    else:
        label = _label(group.small[0].mark, f"{many} paths", nar_size, group.risk)
    return element(
        "span",
        label,
        *parts,
        class_="tile more",
        title=f"{many} {group.kind}, {size(nar_size)}\n{group.title}",
        style=_place(box, around),
    )


def _label(mark: str, text: str, nar_size: int, risk: float = 0) -> Markup:
    """What stands in a box; the risk of the layer in the one that has its number."""
    marked = [element("b", mark), " "] if mark else []
    figures = f"{size(nar_size)}, risk {share(risk)}" if mark else size(nar_size)
    return element("span", *marked, text, element("small", figures), class_="label")


def _place(box: Box, around: Box) -> str:
    """Where a box is, in per cent of the one around it, whose corner is the origin."""
    shares = {
        "left": box.left / around.width,
        "top": box.top / around.height,
        "width": box.width / around.width,
        "height": box.height / around.height,
    }
    return ";".join(f"{side}:{100 * part:.3f}%" for side, part in shares.items())
