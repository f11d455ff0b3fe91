"""Layers from the cache into an image that is being put together, and back.

A store layer is a function of its store paths, so their NAR hashes, the form of our tar and the
compressor name its bytes: a layer that is at hand asks for no read of the store.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Any, Protocol

from msgspec import Struct, ValidationError, convert, field

from nix2oci.cache.directory import Cache
from nix2oci.errors import LayoutError
from nix2oci.host.differences import here
from nix2oci.host.progress import OnProgress
from nix2oci.host.regular_files import open_file
from nix2oci.host.scratch import scratch_directory
from nix2oci.host.sharing import share_out
from nix2oci.oci.layer.blob import Layer, layer_form
from nix2oci.oci.layer.compression import Compression
from nix2oci.oci.layer.workers import Blobs, LayerJob, write_layers
from nix2oci.oci.layout.checksum import is_blob
from nix2oci.oci.layout.reflink import share
from nix2oci.oci.media_types import COMPRESSIONS
from nix2oci.oci.spec import BLOBS, Descriptor, Digest


class BlobSink(Blobs, Protocol):
    """Where an image is put together, as `oci.layout.writer.Staging`."""

    def adopt(self, path: str, digest: Digest, size: int, noted: int | None = None) -> bool:
        """Add a file as the blob of a digest, where it is that, by its checksum if one is noted."""

    def blob_path(self, digest: Digest) -> str:
        """The file of a blob that is there."""


class Uploads(Protocol):
    """Sends layers while others are made, as `oci.registry.early_uploads`."""

    def add(self, blob: Descriptor, path: str) -> None:
        """Have a blob sent whose file is whole."""

    def go_on(self) -> None:
        """Send in threads, where there are none yet; raises what went wrong."""

    def rest(self) -> None:
        """Have no thread, for a while."""


class LayerRequest(Struct, frozen=True):
    """A layer that an image needs."""

    job: LayerJob
    contents: Digest | None = None
    """The `contents_key` of what is in it; None for a layer that no other image can have."""
    paths: tuple[str, ...] = ()
    """Its store paths."""

    def key(self, compression: Compression) -> str:
        """Its `layer_key`, among layers of this compression; empty where no other image has it."""
        stored_as = self.job.compression or compression
        return layer_key(self.contents, stored_as) if self.contents else ""


class _Document(Struct, frozen=True):
    """What is kept of a layer beside its blob, whose other keys are for who lists the cache."""

    media_type: str
    digest: str
    size: int
    diff_id: str
    tar_size: int
    checksum: int | None = None
    slimmed: str = ""
    annotations: dict[str, str] = field(default_factory=dict)


StartProgress = Callable[[int, int], AbstractContextManager[OnProgress]]
"""Called with the number of layers that must be written and the weight of them together."""


def write_missing(
    cache: Cache | None,
    requests: Sequence[LayerRequest],
    compression: Compression,
    sink: BlobSink,
    *,
    cores: int,
    start_progress: StartProgress,
    uploads: Uploads | None = None,
) -> tuple[tuple[Layer, ...], tuple[int, ...]]:
    """Put layers in place, from the cache or as `write_layers` does; which numbers were written.

    Every byte from the cache is checked, by its checksum or digest, and what was written is kept.
    Layers that are in place are sent by `uploads`, which is at rest, while others are written.
    """
    keys = [each.key(compression) if cache else "" for each in requests]
    found = _take(cache, keys, sink, cores) if cache else {}
    add = partial(_add, uploads, sink) if uploads else _nobody
    for layer in found.values():
        add(layer)
    made = tuple(number for number in range(len(requests)) if number not in found)
    layers = [requests[number].job for number in made]
    shown = start_progress(len(made), sum(layer.estimated_size for layer in layers))
    with _sending(shown, uploads) if uploads else shown as report_bytes:
        written = write_layers(
            *(layers, compression, sink, cores, report_bytes),
            forks=here().forks,
            summed=cache is not None,
            on_layer=add,
        )
    new = dict(zip(made, written, strict=True))
    if cache:
        _keep(cache, {keys[n]: (new[n], requests[n].paths) for n in made if keys[n]}, sink)
    return tuple({**found, **new}[number] for number in range(len(requests))), made


@contextmanager
def _sending(shown: AbstractContextManager[OnProgress], uploads: Uploads) -> Iterator[OnProgress]:
    """The progress of writing layers, while others are sent; what goes wrong there ends it."""
    with shown as count:

        def done(size: int) -> None:
            count(size)
            uploads.go_on()

        yield done
        uploads.go_on()


def _add(uploads: Uploads, sink: BlobSink, layer: Layer) -> None:
    uploads.add(layer.descriptor, sink.blob_path(layer.digest))


def _nobody(_: Layer) -> None:
    """Who is told of a layer that is not sent."""


def layer_key(contents: Digest, compression: Compression) -> str:
    """The name of a store layer, by all that decides its bytes.

    A document of other keys needs another word in front.
    """
    tar, how = layer_form(compression).split(" ", 1)
    return hashlib.sha256(f"layer {tar}\n{how}\n{contents}\n".encode()).hexdigest()


def _take(cache: Cache, keys: Sequence[str], sink: BlobSink, cores: int) -> dict[int, Layer]:
    """The layers that are at hand, by number, each with its blob in place."""

    def one(number: int, _: OnProgress) -> Layer | None:
        key = keys[number]
        document = cache.layers.read(key) if key else None
        layer = None if document is None else _layer(document)
        if layer is None:
            return None
        path = cache.path(f"{BLOBS}/{layer.digest.hex}")
        if sink.adopt(path, layer.digest, layer.size, layer.checksum):
            return layer
        if not _is_right(path, layer):
            _drop(cache, key, path)
        return None

    found = share_out(
        *(range(len(keys)), one, cores, lambda _: None),
        forks=False,
        purpose="read the cache",
    )
    return {number: layer for number, layer in sorted(found.items()) if layer}


def _keep(cache: Cache, layers: Mapping[str, tuple[Layer, Sequence[str]]], sink: BlobSink) -> None:
    """Keep layers that were made, each blob before the document that names it."""
    if layers and cache.prepare():
        blobs = {layer.digest: sink.blob_path(layer.digest) for layer, _ in layers.values()}
        kept = keep_blobs(cache, blobs)
        for key, (layer, paths) in layers.items():
            if layer.digest in kept:
                cache.layers.write(key, _document(layer, paths))


def keep_blobs(cache: Cache, blobs: Mapping[Digest, str]) -> set[Digest]:
    """Put blobs, which are at these paths, into the cache; those that are there then.

    A document has to name each.
    """
    kept: set[Digest] = set()
    try:
        with scratch_directory(cache.path(BLOBS)) as directory:
            for digest, path in blobs.items():
                final = cache.path(f"{BLOBS}/{digest.hex}")
                if not os.path.lexists(final):
                    new = os.path.join(directory, digest.hex)
                    share(path, new)
                    os.replace(new, final)
                kept.add(digest)
    except OSError as err:
        cache.remark(f"nothing is kept in the cache at {cache.directory}: {err.strerror}")
    return kept


def _is_right(path: str, layer: Layer) -> bool:
    """Whether a blob that could not be adopted is good: then it is the place that is full."""
    try:
        with open_file(path) as file:
            return is_blob(file, layer.digest)
    except OSError:
        return False


def _drop(cache: Cache, key: str, path: str) -> None:
    if os.path.lexists(path):
        cache.warn(f"{path} is damaged: its layer is made again")
    cache.layers.remove(key)
    with suppress(OSError):
        os.unlink(path)


def _document(layer: Layer, paths: Sequence[str]) -> dict[str, object]:
    return {
        "media_type": layer.media_type,
        "digest": str(layer.digest),
        "size": layer.size,
        "diff_id": str(layer.diff_id),
        "tar_size": layer.tar_size,
        "paths": list(paths),
        **({} if layer.checksum is None else {"checksum": layer.checksum}),
        **({"slimmed": layer.slimmed} if layer.slimmed else {}),
        **({"annotations": dict(layer.annotations)} if layer.annotations else {}),
    }


def _layer(document: Mapping[str, Any]) -> Layer | None:
    """What a document says; None where no build has written that."""
    try:
        found = convert(document, _Document)
        digest, diff_id = Digest.parse(found.digest), Digest.parse(found.diff_id)
    except (ValidationError, ValueError, LayoutError):  # also text that is no text
        return None
    if found.media_type not in COMPRESSIONS:
        return None
    return Layer(
        *(found.media_type, digest, found.size, diff_id, found.tar_size),
        checksum=found.checksum,
        slimmed=found.slimmed,
        annotations=found.annotations,
    )
