"""The pipeline, spelled out once: packages -> outputs -> closure -> plan -> layers -> image."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import merge

from nix2oci import text
from nix2oci.cache.bound import prune
from nix2oci.cache.directory import Cache
from nix2oci.cache.layer_store import LayerRequest, write_missing
from nix2oci.config.image_spec import ImageSpec
from nix2oci.errors import ConfigError, LayoutError
from nix2oci.model.closure import PathInfo, StorePath
from nix2oci.model.tree import Entry, File, Tree, sort_key
from nix2oci.nix.client import NixClient, Package
from nix2oci.nix.installable import Installable
from nix2oci.nix.machine import check_machines
from nix2oci.nix.store import store_layer
from nix2oci.nix.store_files import StoreFiles
from nix2oci.nix.survey import is_program
from nix2oci.oci.inherit import Inherited, inherit
from nix2oci.oci.layer.blob import Layer, compressor_version, layer_form
from nix2oci.oci.layer.workers import LayerJob
from nix2oci.oci.layout.writer import Image, Staging
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import (
    LAYER_FORM,
    STORE_PATHS,
    Descriptor,
    Digest,
    ImageConfig,
    Platform,
    store_paths_digest,
)
from nix2oci.oci.validate.image import check_written
from nix2oci.pipeline import describe
from nix2oci.pipeline.debug_twin import (
    Tools,
    Twin,
    debug_name,
    debug_tools,
    with_tools,
    write_tools,
)
from nix2oci.pipeline.describe import ImageIdentity
from nix2oci.pipeline.on_base import LOCAL, Opener, check_program, refuse_zstd
from nix2oci.pipeline.prepare import Prepared, Progress, prepare
from nix2oci.plan.layers.layering import LayerHints, LayerPlan
from nix2oci.plan.rootfs import CA_BUNDLE
from nix2oci.plan.shell_record import annotations_of

FindExisting = Callable[[Iterable[Digest]], Mapping[Digest, Layer]]
"""Told what layers hold (`store_paths_digest`): those that are where the image is pushed to."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an image goes and what the machine around it decides.

    No digest depends on `cores`, on what `cache` holds, or on what is `existing`.
    """

    open: Callable[[Reference], AbstractContextManager[Staging]]
    created: Callable[[int | None], datetime]
    """The image's time, from the flake's `lastModified` when it has one that can be trusted."""
    cores: int
    cache: Cache | None = None
    reads_zstd: bool = True
    """Whether all that read what is there know zstd layers."""
    existing: FindExisting | None = None
    """Only for an image that is pushed and kept nowhere else: such layers are left out of it."""
    opener: Opener = LOCAL
    """How a base image is opened."""


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of the store for layers; `bytes` are those of NAR."""

    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class WrittenLayers:
    """The layers of an image that are not its base's, the view last."""

    layers: tuple[Layer, ...]
    reused: frozenset[Digest]
    """Blobs that were where the image is pushed to."""
    read: Read


@dataclass(frozen=True, slots=True)
class WrittenImage:
    """An image that is at its destination, and what went into it."""

    identity: ImageIdentity
    image: Image
    prepared: Prepared
    layers: tuple[Layer, ...]
    reused: frozenset[Digest]
    """Of these, the blobs that were where the image is pushed to."""
    read: Read
    compressor: str
    twin: Twin | None = None
    inherited: tuple[Inherited, ...] = ()
    """What became of the configuration of the base image."""


def build(
    nix: NixClient,
    packages: Sequence[Package],
    spec: ImageSpec,
    destination: Destination,
    progress: Progress,
    *,
    hints: LayerHints | None = None,
) -> WrittenImage:
    """Build one image of evaluated packages and put it at its destination, all or nothing."""
    with (
        prepare(
            *(nix, packages, spec, progress, destination.cache),
            hints=hints,
            opener=destination.opener,
        ) as prepared,
        _tools(nix, packages[0].installable, spec, prepared, progress) as tools,
    ):
        identity = _decide(prepared, spec, destination)
        twin_name = debug_name(identity.name, prepared.layer_count) if tools else None
        with destination.open(identity.name) as staging:
            if prepared.on_base:
                prepared.on_base.base.copy_layers(staging)
            written = _write(prepared, spec, staging, destination, progress)
            config, described, inherited = _documents(prepared, spec, identity, written.layers)
            base_notes = prepared.on_base.base.annotations if prepared.on_base else {}
            recorded = annotations_of(prepared.shells, prepared.plan.fleet)
            notes = {**base_notes, **recorded, **identity.annotations}
            image = Image.of(config, described, notes)
            images, twin = [(image, identity.name)], None
            if tools and twin_name:
                top = write_tools(tools, spec.compression, staging)
                twin_image = with_tools(config, described, notes, tools, top)
                twin = Twin(twin_name, twin_image, top, tools)
                images.append((twin_image, twin_name))
            for each, _ in images:
                _check(staging, each)
            staging.finish(images)
    compressor = compressor_version(spec.compression)
    layers, reused, read = written.layers, written.reused, written.read
    return WrittenImage(
        identity, image, prepared, layers, reused, read, compressor, twin, inherited
    )


def _tools(
    nix: NixClient, main: Installable, spec: ImageSpec, prepared: Prepared, progress: Progress
) -> AbstractContextManager[Tools | None]:
    """The tools of the debug twin, None where there is to be none."""
    if not spec.debug:
        return nullcontext()
    progress.step("building the tools of the debug twin")
    return debug_tools(nix, spec.debug_tools, main, prepared.package.system, prepared.closure)


def _decide(prepared: Prepared, spec: ImageSpec, destination: Destination) -> ImageIdentity:
    name = describe.image_name(spec, prepared.package)
    command = describe.entrypoint(spec, prepared.built[0], prepared.survey)
    _check_program(prepared, command[0])
    if prepared.on_base:
        check_program(prepared.on_base, command[0], prepared.closure.store_dir)
        if not destination.reads_zstd:
            refuse_zstd(prepared.on_base.base)
    _check_machines(prepared, command[0])
    created = destination.created(prepared.package.last_modified)
    notes = describe.manifest_annotations(spec, prepared.package, name, created)
    return ImageIdentity(name, command, created, notes)


def _check_program(prepared: Prepared, path: str) -> None:
    """Raise `ConfigError` for an entrypoint in the store that is not there or cannot be run."""
    in_store = path.startswith(prepared.closure.store_dir + "/")
    if in_store and not is_program(prepared.closure, path, prepared.store.root):
        raise ConfigError(
            f"cannot use entrypoint {path}: it is not an executable file in the closure"
        )


def _check_machines(prepared: Prepared, command: str) -> None:
    """Raise `RepresentationError` for a program that the image's platform cannot run."""
    steps = (step.path for chain in prepared.shells.programs.values() for step in chain.steps)
    system = prepared.package.system
    platform = str(Platform.of_system(system))
    started = [os.fsencode(command), *steps]
    disk = StoreFiles.of(
        prepared.closure, prepared.store.root, prepared.notes, prepared.store.fetch
    )
    check_machines(disk, prepared.closure, started, system, platform)


def _write(
    prepared: Prepared,
    spec: ImageSpec,
    blobs: Staging,
    destination: Destination,
    progress: Progress,
) -> WrittenLayers:
    wanted = [_wanted(layer, prepared) for layer in prepared.plan.layers]
    if spec.max_layers == 1:
        (only,) = wanted
        mixed = _laid_over(only.job.entries, prepared.rootfs)
        wanted = [replace(only, job=LayerJob(mixed, only.job.estimated_size), contents=None)]
    else:
        wanted.append(LayerRequest(LayerJob(prepared.rootfs, 0)))

    existing = (
        _existing(wanted, blobs, destination.existing, progress) if destination.existing else {}
    )
    rest = [each for each in wanted if each.contents not in existing]

    def writing(made: int, estimated_size: int) -> AbstractContextManager[Callable[[int], None]]:
        if made < len(rest):
            progress.step(f"{len(rest) - made} of {len(wanted)} layers are in the cache")
        return progress.bytes("writing layers", estimated_size)

    cache, cores = destination.cache, destination.cores
    written, made = write_missing(
        cache, rest, spec.compression, blobs, cores=cores, start_progress=writing
    )
    checked = {path for number in made for path in rest[number].paths}
    unread = {path for each in wanted if each.contents in existing for path in each.paths}
    prepared.notes.commit(
        lambda info: (
            str(info.path) in checked
            or (str(info.path) not in unread and prepared.store.is_right(info))
        )
    )
    if cache and checked:
        prune(cache, wait=False)
    new = iter(written)
    layers = tuple(existing[w.contents] if w.contents in existing else next(new) for w in wanted)
    stored = [number for number in made if rest[number].paths]
    nar_sizes = (rest[number].job.estimated_size for number in stored)
    read = Read(sum(written[number].files for number in stored), sum(nar_sizes))
    return WrittenLayers(layers, frozenset(layer.digest for layer in existing.values()), read)


def _existing(
    wanted: Sequence[LayerRequest], blobs: Staging, ask: FindExisting, progress: Progress
) -> dict[Digest | None, Layer]:
    """The layers that are where the image is pushed to, by what they hold."""
    found = dict[Digest | None, Layer](ask(w.contents for w in wanted if w.contents).items())
    for layer in found.values():
        blobs.assume_remote(layer.digest, layer.size)
    size = text.size(sum(layer.size for layer in found.values()))
    progress.step(f"reused {len(found)} of {len(wanted)} layers that the registry has, {size}")
    return found


def _wanted(layer: LayerPlan, prepared: Prepared) -> LayerRequest:
    infos = [prepared.closure.infos[path] for path in layer.paths]
    job = LayerJob(store_layer(infos, prepared.store), layer.nar_size)
    return LayerRequest(job, _contents(infos), tuple(map(str, layer.paths)))


def _contents(infos: Iterable[PathInfo]) -> Digest:
    return store_paths_digest({str(info.path): info.nar_hash for info in infos})


def _laid_over(entries: Iterable[Entry], rootfs: Tree) -> Iterator[Entry]:
    """Store and view as one: what both have, replaced wrappers above all, is the view's."""
    for entry in merge(entries, rootfs, key=lambda entry: sort_key(entry.path)):
        mine = rootfs.get(entry.path)
        if mine is None or mine is entry:
            yield entry
        elif isinstance(entry, File):
            for _ in entry.chunks:  # it counts for the NAR hash all the same
                pass


def _documents(
    prepared: Prepared, spec: ImageSpec, identity: ImageIdentity, layers: tuple[Layer, ...]
) -> tuple[ImageConfig, tuple[Descriptor, ...], tuple[Inherited, ...]]:
    """The image's configuration, its layers as the manifest has them, and what is of the base."""
    on = prepared.on_base
    contents: list[LayerPlan | None] = [*prepared.plan.layers, None][: len(layers)]
    config = describe.image_config(
        spec,
        identity,
        [
            (layer.diff_id, describe.layer_history(plan, len(prepared.shells.launchers)))
            for layer, plan in zip(layers, contents, strict=True)
        ],
        platform=Platform.of_system(prepared.package.system),
        certificates=prepared.rootfs.get(CA_BUNDLE[1:].encode()) is not None
        or (on is not None and on.certificates),
    )
    changed = spec.max_layers == 1 and bool(prepared.shells.launchers)
    infos = {} if changed else prepared.closure.infos
    # A layer that has the view as well is not what any other image makes of the same paths.
    form = {LAYER_FORM: layer_form(spec.compression)} if spec.max_layers > 1 else {}
    described = tuple(
        _descriptor(*pair, infos, form) for pair in zip(layers, contents, strict=True)
    )
    if on is None:
        return config, described, ()
    config, inherited = inherit(on.base.config, config, describe.assumed(spec))
    return config, (*on.base.layers, *described), inherited


def _check(staging: Staging, image: Image) -> None:
    """The cheap part of `nix2oci validate`, before anybody can see the image."""
    for finding in check_written(staging.source(image)):
        if finding.level == "error":
            raise LayoutError(f"cannot publish the image that was built: {finding}")


def _descriptor(
    layer: Layer,
    plan: LayerPlan | None,
    infos: Mapping[StorePath, PathInfo],
    form: Mapping[str, str],
) -> Descriptor:
    """A layer's descriptor; a store layer's says what is in it, for whoever has the same paths.

    Without infos it says nothing: a store path in which a wrapper was replaced is another one.
    """
    described = {}
    if plan and infos:
        contents = str(_contents(infos[path] for path in plan.paths))
        described = {STORE_PATHS: contents, **form}
    return Descriptor(layer.media_type, layer.digest, layer.size, described)
