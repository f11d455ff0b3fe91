"""An image, and what was made again of the sources that it names: equal, or where not.

The digests of layers that were made again prove those of the image; only a layer that differs is
looked into.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.compare.difference import Change, Contents, Setting, difference
from nix2oci.compare.inputs import closure_contents, image_contents
from nix2oci.compare.layer_members import (
    MOVED,
    Place,
    blob_digest,
    entry_members,
    first_difference,
    read_members,
)
from nix2oci.errors import LayoutError
from nix2oci.model.closure import StorePath
from nix2oci.oci.layer.blob import Layer
from nix2oci.oci.layout.archive import Readable
from nix2oci.oci.layout.source import Blobs, ImageSource
from nix2oci.oci.layout.writer import Image
from nix2oci.oci.settings import settings
from nix2oci.oci.spec import Descriptor, Digest, Platform
from nix2oci.pipeline.build import WrittenImage
from nix2oci.pipeline.image_layers import layer_requests


class LayerPair(Struct, frozen=True):
    """A layer of the image and the one in its place that was made again; None where is none."""

    found: Digest | None
    """Of the bytes that are there."""
    said: Digest | None
    """Of those that the manifest says are there."""
    found_diff_id: str
    made: Digest | None
    made_diff_id: str

    @property
    def is_same(self) -> bool:
        return self.found == self.made

    @property
    def has_same_contents(self) -> bool:
        """Whether only the compressed form differs."""
        same = bool(self.found_diff_id) and self.found_diff_id == self.made_diff_id
        return same and self.found == self.said


class Rebuilt(Struct, frozen=True):
    """What became of the image of one platform."""

    platform: Platform
    digest: Digest
    """Of the image's manifest."""
    made: Digest
    """Of the manifest that was made again."""
    layers: tuple[LayerPair, ...]
    number: int | None = None
    """Of the first layer that differs, from 1, the base layer first."""
    place: Place | None = None
    """Where that differs first, where anything in it does."""
    settings: tuple[Setting, ...] = ()
    """Of the configuration: `old` is the image's."""
    changes: tuple[Change, ...] = ()
    """Of store paths: `old` are the image's."""

    @property
    def is_same(self) -> bool:
        """Whether it is the image to the byte, and every blob is what the manifest says."""
        return self.digest == self.made and all(layer.is_same for layer in self.layers)


@runtime_checkable
class ChecksBlobs(Protocol):
    """Blobs that end with an error where they are not what they should be."""

    def unchecked(self) -> Blobs:
        """The same as they are."""


def as_it_is(source: ImageSource) -> ImageSource:
    """An image whose blobs are to be judged here, whatever they are."""
    blobs = source.blobs
    return replace(source, blobs=blobs.unchecked()) if isinstance(blobs, ChecksBlobs) else source


def compared(source: ImageSource, written: WrittenImage) -> Rebuilt:
    """The image against what was made again; the store must be held.

    Every layer of the image is read. Raises what reading it, and the store, raises.
    """
    described, (image, own) = source.layers(), _counterpart(source, written)
    made = image.layers
    pairs = tuple(_pairs(source, described, made, own))
    number = next((n for n, pair in enumerate(pairs, 1) if not pair.is_same), None)
    digests = (source.descriptor.digest, image.descriptor.digest)
    found = Rebuilt(source.platform(), *digests, pairs)
    if found.is_same:
        return found
    place = None
    if number is not None and number <= min(len(described), len(made)):
        place = _place(source, described[number - 1], written, number)
    changes = _changes(source, written)
    if place and place.is_alone and place.store_path not in _paths(changes):
        place = Place(place.path, MOVED)
    return Rebuilt(
        *(found.platform, found.digest, found.made, pairs, number, place),
        tuple(_settings(settings(source), settings(_made(image)))),
        changes,
    )


def _counterpart(source: ImageSource, written: WrittenImage) -> tuple[Image, tuple[Layer, ...]]:
    """What was made of it, and its layers above a base: the image, or its debug twin."""
    twin = written.twin
    if twin and len(source.layers()) == len(twin.image.layers):
        return twin.image, (*written.layers, twin.layer)
    return written.image, written.layers


def _pairs(
    source: ImageSource,
    described: Sequence[Descriptor],
    made: Sequence[Descriptor],
    own: Sequence[Layer],
) -> Iterator[LayerPair]:
    ours = [*[None] * (len(made) - len(own)), *own]
    diff_ids = [*map(str, source.config().diff_ids)]
    known: dict[Digest, Digest] = {}
    for number in range(max(len(described), len(made))):
        there = described[number] if number < len(described) else None
        if there and there.digest not in known:
            known[there.digest] = blob_digest(source, there)
        new = made[number].digest if number < len(made) else None
        layer = ours[number] if number < len(ours) else None
        yield LayerPair(
            known[there.digest] if there else None,
            there.digest if there else None,
            diff_ids[number] if number < len(diff_ids) else "",
            new,
            str(layer.diff_id) if layer else "",
        )


def _place(
    source: ImageSource, layer: Descriptor, written: WrittenImage, number: int
) -> Place | None:
    """Where a layer differs; None where that is in none of its files."""
    prepared = written.prepared
    below = len(prepared.on_base.base.layers) if prepared.on_base else 0
    requests = layer_requests(prepared, prepared.spec)
    if not below < number <= below + len(requests):
        return None
    made = entry_members(requests[number - below - 1].job.entries)
    return first_difference(read_members(source, layer), made)


def _settings(found: Mapping[str, str], made: Mapping[str, str]) -> Iterator[Setting]:
    for name in sorted(found.keys() | made.keys()):
        if found.get(name) != made.get(name):
            yield Setting(name, found.get(name), made.get(name))


class _Documents(Struct, frozen=True):
    """The documents of an image that was made again, as blobs."""

    data: Mapping[Digest, bytes]

    def size(self, digest: Digest) -> int | None:
        found = self.data.get(digest)
        return None if found is None else len(found)

    def open(self, digest: Digest) -> Readable:
        return io.BytesIO(self.data[digest])


def _made(image: Image) -> ImageSource:
    data = {image.descriptor.digest: image.manifest, image.id: image.config}
    return ImageSource("the rebuilt image", image.descriptor, _Documents(data))


def _paths(changes: Iterable[Change]) -> set[str]:
    """Store paths that only one has, and `""` for what is in none."""
    held = (side for each in changes for side in (each.old, each.new) if side)
    return {"", *(str(side.path) for side in held)}


def _changes(source: ImageSource, written: WrittenImage) -> tuple[Change, ...]:
    """Store paths that only one of both has; none where the image's cannot be told."""
    prepared = written.prepared
    made = closure_contents(prepared.closure, prepared.plan)
    base = prepared.on_base.base.store_paths if prepared.on_base else {}
    below = {StorePath.parse(path): 0 for path in base}
    try:
        found = image_contents(source)
    except LayoutError:
        return ()
    return difference(found, Contents({**below, **made.paths}, made.layers)).changes
