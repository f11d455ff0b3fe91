"""The document of several images, as `plan --all --json` prints it, read once into values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from nix2oci.report.page.document import Json


class Image(Struct, frozen=True):
    """An image, its layers by their numbers, which count from 1 over the whole fleet."""

    name: str
    layers: Sequence[int]


class FleetLayer(Struct, frozen=True):
    """A layer, which at least one image has; an `application` is that of each that has it."""

    images: frozenset[str]
    nar_size: int
    paths: Sequence[str]
    application: bool


class Again(Struct, frozen=True):
    """A store path that is in several layers, by their numbers."""

    path: str
    nar_size: int
    layers: Sequence[int]

    @property
    def cost(self) -> int:
        """Bytes of all but one of them."""
        return self.nar_size * (len(self.layers) - 1)


class Fleet(Struct, frozen=True):
    """All of it; sizes are bytes of NAR."""

    nar_size: int
    """Of all images together, as if nothing were shared."""
    stored: int
    images: Sequence[Image]
    layers: Sequence[FleetLayer]
    """Those that most images have first, and applications last; those of the same images together,
    the largest first."""
    sizes: Mapping[str, int]
    again: Sequence[Again]
    """Those first that cost most."""

    @property
    def shared(self) -> Sequence[FleetLayer]:
        return [layer for layer in self.layers if len(layer.images) > 1]


def read_fleet(document: Json) -> Fleet:
    """The document of our own (`report.fleet_document`), which has the form that it must have."""
    sizes = {path: size for each in document["images"] for path, size in each["sizes"].items()}
    layers = _layers(document)
    numbers: dict[str, list[int]] = {}
    places: dict[str, list[int]] = {each["image"]: [] for each in document["images"]}
    for number, layer in enumerate(layers, 1):
        for path in layer.paths:
            numbers.setdefault(path, []).append(number)
        for image in layer.images:
            places[image].append(number)
    again = [
        Again(each["path"], each["nar_size"], numbers[each["path"]])
        for each in document["stored_again"]
    ]
    return Fleet(
        document["nar_size"],
        document["stored"],
        [Image(name, found) for name, found in places.items()],
        layers,
        sizes,
        sorted(again, key=lambda each: (-each.cost, each.path)),
    )


def _layers(document: Json) -> Sequence[FleetLayer]:
    """In the order of the page."""
    columns = {each["image"]: n for n, each in enumerate(document["images"])}
    mains = {each["image"]: {*each["roots"][:1]} for each in document["images"]}
    layers = [
        FleetLayer(
            frozenset(each["images"]),
            each["nar_size"],
            each["paths"],
            all(mains[image] & {*each["paths"]} for image in each["images"]),
        )
        for each in document["layers"]
    ]
    return sorted(
        layers,
        key=lambda layer: (
            layer.application,
            -len(layer.images),
            sorted(columns[image] for image in layer.images),
            -layer.nar_size,
            layer.paths,
        ),
    )
