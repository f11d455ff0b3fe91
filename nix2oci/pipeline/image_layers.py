"""The layers of an image above its base: which there are, written or reused, and remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from heapq import merge

from msgspec import Struct
from msgspec.structs import replace

from nix2oci import text
from nix2oci.cache.bound import prune, remove_left_files
from nix2oci.cache.layer_store import LayerRequest, write_missing
from nix2oci.config.image_spec import ImageSpec
from nix2oci.host.progress import Progress
from nix2oci.model.closure import PathInfo
from nix2oci.model.tree import Entry, File, Tree, Whiteout, sort_key
from nix2oci.nix.store import store_layer
from nix2oci.oci.layer.blob import Layer
from nix2oci.oci.layer.compression import StoreLayer
from nix2oci.oci.layer.workers import LayerJob
from nix2oci.oci.layout.writer import Staging
from nix2oci.oci.spec import Digest, contents_key, store_paths_digest
from nix2oci.pipeline.destination import Destination, FindExisting
from nix2oci.pipeline.prepared import Prepared
from nix2oci.pipeline.stored_as import of_last_layer, of_store_layer
from nix2oci.plan.layers.layering import LayerPlan


class Read(Struct, frozen=True):
    """What was read of the store for layers; `bytes` are those of NAR."""

    files: int
    bytes: int


class WrittenLayers(Struct, frozen=True):
    """The layers of an image that are not its base's, the view last."""

    layers: tuple[Layer, ...]
    reused: frozenset[Digest]
    """Blobs that were where the image is pushed to."""
    read: Read


def write_image_layers(
    prepared: Prepared,
    spec: ImageSpec,
    blobs: Staging,
    destination: Destination,
    progress: Progress,
) -> WrittenLayers:
    """The layers above the base, each in `blobs` or where the image is pushed to."""
    if destination.uploads:
        destination.uploads.rest()  # workers are forked
    wanted = layer_requests(prepared, spec)
    find = destination.existing
    existing = _existing(wanted, blobs, find, progress) if find else {}
    rest = [each for each in wanted if _asked(each) not in existing]

    def start(made: int, estimated_size: int) -> AbstractContextManager[Callable[[int], None]]:
        if made < len(rest):
            progress.step(f"{len(rest) - made} of {len(wanted)} layers are in the cache")
        return progress.bytes("writing layers", estimated_size)

    written, numbers = write_missing(
        *(destination.cache, rest, spec.compressions.settled, blobs),
        cores=destination.cores,
        start_progress=start,
        uploads=destination.uploads,
    )
    made = [(rest[number], written[number]) for number in numbers]
    unread = [path for each in wanted if _asked(each) in existing for path in each.paths]
    _remember(prepared, [path for each, _ in made for path in each.paths], unread)
    if destination.cache and any(each.paths for each, _ in made):
        prune(destination.cache, wait=False)
    elif destination.cache:
        remove_left_files(destination.cache)
    new = iter(written)
    layers = tuple(existing.get(_asked(each)) or next(new) for each in wanted)
    return WrittenLayers(layers, frozenset(each.digest for each in existing.values()), _read(made))


def layer_requests(prepared: Prepared, spec: ImageSpec) -> list[LayerRequest]:
    """Which layers there are above the base, the root file system last or within the only one."""
    wanted = [_wanted(layer, prepared) for layer in prepared.plan.layers]
    if spec.max_layers > 1:
        compression = of_last_layer(prepared.rootfs, spec.compressions)
        return [*wanted, LayerRequest(LayerJob(prepared.rootfs, 0, compression=compression))]
    (only,) = wanted
    mixed = _laid_over(only.job.entries, prepared.rootfs)
    return [replace(only, job=replace(only.job, entries=mixed), contents=None)]


def _remember(prepared: Prepared, checked: Iterable[str], unread: Iterable[str]) -> None:
    """Keep what was found in store paths whose bytes are right: `checked` were read just now."""
    unknown = frozenset(unread)
    prepared.notes.commit(
        lambda info: str(info.path) not in unknown and prepared.store.is_right(info), checked
    )


def _read(made: Iterable[tuple[LayerRequest, Layer]]) -> Read:
    """What was read for the layers that were made, the root file system left out."""
    stored = [(request, layer) for request, layer in made if request.paths]
    sizes = (request.job.estimated_size for request, _ in stored)
    return Read(sum(layer.files for _, layer in stored), sum(sizes))


def _existing(
    wanted: Sequence[LayerRequest], blobs: Staging, ask: FindExisting, progress: Progress
) -> dict[StoreLayer | None, Layer]:
    """The layers that are where the image is pushed to, by what they hold."""
    there = ask(each for each in map(_asked, wanted) if each)
    if there is None:
        return {}
    found = dict[StoreLayer | None, Layer](there.items())
    for layer in found.values():
        blobs.assume_remote(layer.digest, layer.size)
    size = text.size(sum(layer.size for layer in found.values()))
    progress.step(f"reused {len(found)} of {len(wanted)} layers that the registry has, {size}")
    return found


def _asked(request: LayerRequest) -> StoreLayer | None:
    """What a registry is asked for, if others can have the same layer."""
    contents, compression = request.contents, request.job.compression
    return (contents, compression) if contents and compression else None


def _wanted(layer: LayerPlan, prepared: Prepared) -> LayerRequest:
    infos = [prepared.closure.infos[path] for path in layer.paths]
    entries = store_layer(infos, prepared.store)
    stored = of_store_layer(layer, prepared.spec.compressions)
    job = LayerJob(entries, layer.nar_size, compression=stored)
    if prepared.slim and prepared.rules:
        from nix2oci.oci.layer.slim_entries import slim_job  # noqa: PLC0415  # few images are slim

        job = slim_job(job, prepared.slim.rules, prepared.closure.store_dir)
    contents = contents_key(contents_digest(infos), prepared.rules)
    return LayerRequest(job, contents, tuple(map(str, layer.paths)))


def contents_digest(infos: Iterable[PathInfo]) -> Digest:
    """What a store layer of these paths holds, as its descriptor and the cache name it."""
    return store_paths_digest({str(info.path): info.nar_hash for info in infos})


def _laid_over(entries: Iterable[Entry], rootfs: Tree) -> Iterator[Entry]:
    """Store and view as one: what both have, replaced wrappers above all, is the view's.

    What the view hides is in no layer below, so it is left out, and its mark with it.
    """
    marks = {each.path: each.about for each in rootfs if isinstance(each, Whiteout)}
    hidden = frozenset(marks.values())
    for entry in merge(entries, rootfs, key=lambda entry: sort_key(entry.path)):
        own = rootfs.get(entry.path)
        if entry.path in marks:
            continue
        if (own is None or own is entry) and entry.path not in hidden:
            yield entry
        elif isinstance(entry, File):
            for _ in entry.chunks:  # it counts for the NAR hash all the same
                pass
