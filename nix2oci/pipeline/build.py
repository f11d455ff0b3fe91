"""The pipeline, spelled out once: packages -> outputs -> closure -> plan -> layers -> image."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from nix2oci.config.image_spec import ImageSpec
from nix2oci.errors import LayoutError
from nix2oci.host.progress import Progress
from nix2oci.model.annotation_keys import SLIM
from nix2oci.model.closure import PathInfo, StorePath
from nix2oci.model.tree import Symlink
from nix2oci.nix.client import NixClient
from nix2oci.nix.flake_inputs import unpinned
from nix2oci.nix.installable import Installable
from nix2oci.nix.package import Package
from nix2oci.oci.inherit import Inherited, inherit
from nix2oci.oci.layer.blob import Layer, compressor_version, is_other_compressor, layer_form
from nix2oci.oci.layout.writer import Image, Staging
from nix2oci.oci.spec import (
    LAYER_FORM,
    SLIMMED,
    STORE_PATHS,
    Descriptor,
    Digest,
    ImageConfig,
    Platform,
)
from nix2oci.oci.validate.check_documents import read_documents
from nix2oci.pipeline import describe
from nix2oci.pipeline.debug_twin import (
    Tools,
    Twin,
    debug_names,
    debug_tools,
    with_tools,
    write_tools,
)
from nix2oci.pipeline.describe import ImageIdentity
from nix2oci.pipeline.destination import Destination
from nix2oci.pipeline.image_layers import Read, contents_digest, write_image_layers
from nix2oci.pipeline.main_package import built_for, check_is_package
from nix2oci.pipeline.on_base import refuse_zstd
from nix2oci.pipeline.prepare import prepare
from nix2oci.pipeline.prepared import Prepared
from nix2oci.pipeline.startable import entrypoint
from nix2oci.pipeline.stored_as import of_store_layer
from nix2oci.pipeline.templates import is_other_launcher
from nix2oci.plan.layers.layering import LayerHints, LayerPlan
from nix2oci.plan.rootfs import CA_BUNDLE, LOCALES
from nix2oci.plan.shell_record import annotations_of

if TYPE_CHECKING:
    from nix2oci.trust.knowledge import Knowledge


class WrittenImage(Struct, frozen=True):
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
    known: Knowledge | None = None
    """Of its store paths, where the destination `describes` them."""


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
    compressor_version(spec.compressions.moving)  # fails before Nix has built
    with (
        prepare(
            *(nix, packages, spec, progress, destination.cache),
            hints=hints,
            opener=destination.opener,
        ) as prepared,
        tools_of(nix, packages[0].installable, spec, prepared, progress) as tools,
    ):
        return write(nix, prepared, tools, destination, progress)


def write(
    nix: NixClient,
    prepared: Prepared,
    tools: Tools | None,
    destination: Destination,
    progress: Progress,
) -> WrittenImage:
    """Write what was decided, with a debug twin where there are `tools`; all or nothing."""
    if tools and tools.package.installable.became:
        progress.step(unpinned(tools.package.installable))
    spec = prepared.spec
    compressor = compressor_version(spec.compressions.moving)
    _say_what_differs(prepared, compressor, progress)
    identity = _decide(nix, prepared, spec, destination, progress)
    twin_names = debug_names(identity.names, prepared.layer_count) if tools else ()
    if spec.sbom_in_image:
        from nix2oci.pipeline.sbom_in_image import with_sbom  # noqa: PLC0415  # few want it

        prepared = with_sbom(prepared, identity.name.repository.rpartition("/")[2])
    known = _known(nix, prepared, progress) if destination.describes else None
    with destination.open(identity.names) as staging:
        if prepared.on_base:
            base = prepared.on_base.base
            base.copy_layers(staging)
            if uploads := destination.uploads:
                for layer in base.layers:
                    uploads.add(layer, staging.blob_path(layer.digest))
        written = write_image_layers(prepared, spec, staging, destination, progress)
        config, described, inherited = _documents(prepared, spec, identity, written.layers)
        base_notes = prepared.on_base.base.annotations if prepared.on_base else {}
        recorded = annotations_of(prepared.shells, prepared.plan.fleet)
        slim = {SLIM: prepared.rules} if prepared.rules else {}
        notes = {**base_notes, **recorded, **slim, **identity.annotations}
        describe = destination.contents or (lambda *_: None)
        image = Image.of(config, described, notes, describe(prepared, described, None))
        images, twin = [(image, identity.names)], None
        if tools:
            top = write_tools(tools, spec.compressions.settled, staging)
            contents = describe(prepared, (*described, top.descriptor), tools)
            twin_image = with_tools(config, described, notes, tools, top, contents=contents)
            twin = Twin(twin_names, twin_image, top, tools)
            images.append((twin_image, twin_names))
        for each, _ in images:
            _check(staging, each)
        staging.finish(images)
    layers, reused, read = written.layers, written.reused, written.read
    return WrittenImage(
        *(identity, image, prepared, layers, reused, read, compressor, twin, inherited, known)
    )


def _known(nix: NixClient, prepared: Prepared, progress: Progress) -> Knowledge:
    from nix2oci.pipeline.gather_knowledge import knowledge_of  # noqa: PLC0415  # few want it

    return knowledge_of(nix, prepared, progress)


def _say_what_differs(prepared: Prepared, compressor: str, progress: Progress) -> None:
    """Name what of this installation gives other bytes than a released one."""
    if is_other_compressor(prepared.spec.compressions.moving):
        progress.step(f"{compressor} gives other bytes than releases of nix2oci do: digests differ")
    machine = prepared.package.system.partition("-")[0]
    if prepared.shells.launchers and is_other_launcher(machine):
        progress.step(
            f"this nix2oci has another launcher for {machine} than its releases: digests differ"
        )


@contextmanager
def tools_of(
    nix: NixClient, main: Installable, spec: ImageSpec, prepared: Prepared, progress: Progress
) -> Iterator[Tools | None]:
    """The tools of the debug twin, None where there is to be none."""
    if not spec.debug:
        yield None
        return
    progress.step("building the tools of the debug twin")
    with debug_tools(nix, spec.debug_tools, main, prepared.package.system) as found:
        yield found.beside(prepared.closure)


def _decide(
    nix: NixClient,
    prepared: Prepared,
    spec: ImageSpec,
    destination: Destination,
    progress: Progress,
) -> ImageIdentity:
    check_is_package(prepared, spec)
    names = describe.image_names(spec, prepared.package)
    argv = entrypoint(prepared, spec, progress, partial(built_for, nix, prepared.package))
    if prepared.on_base and not destination.reads_zstd:
        refuse_zstd(prepared.on_base.base)
    created = destination.created(prepared.package.last_modified)
    notes = describe.manifest_annotations(spec, prepared.package, names[0], created)
    return ImageIdentity(names, argv, created, notes)


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
        or (on is not None and on.has_certificates(prepared.rootfs)),
        locale_archive=_locale_archive(prepared),
    )
    shells = prepared.shells
    changed = spec.max_layers == 1 and bool(shells.launchers or shells.hidden)
    infos = {} if changed else prepared.closure.infos
    described = tuple(
        _descriptor(layer, plan, infos, _form(plan, prepared))
        for layer, plan in zip(layers, contents, strict=True)
    )
    if on is None:
        return config, described, ()
    config, inherited = inherit(on.base.config, config, describe.assumed(spec))
    return config, (*on.base.layers, *described), inherited


def _locale_archive(prepared: Prepared) -> str:
    """Where nixpkgs' C library finds locales: the link of the root, or behind it, in the store.

    A base image may have other locales in that place, of another version of the C library.
    """
    found, archive = prepared.survey.locales, prepared.survey.locale_archive
    if not (found and archive and prepared.spec.view.locales):
        return ""
    is_linked = prepared.rootfs.get(LOCALES) == Symlink(LOCALES, found.target)
    archive_of = f"/{os.fsdecode(LOCALES)}/{os.fsdecode(archive.name)}"
    return archive_of if is_linked else os.fsdecode(archive.target)


def _check(staging: Staging, image: Image) -> None:
    """The cheap part of `nix2oci validate`, before anybody can see the image: no layer is read."""
    for finding in read_documents(staging.source(image)).findings:
        if finding.level == "error":
            raise LayoutError(f"cannot publish the image that was built: {finding}")


def _form(plan: LayerPlan | None, prepared: Prepared) -> dict[str, str]:
    """What a store layer says of its form.

    One that has the view as well is not what any other image makes of the same paths.
    """
    if plan is None or prepared.spec.max_layers == 1:
        return {}
    stored = of_store_layer(plan, prepared.spec.compressions)
    return {LAYER_FORM: layer_form(stored, prepared.rules)}


def _descriptor(
    layer: Layer,
    plan: LayerPlan | None,
    infos: Mapping[StorePath, PathInfo],
    form: Mapping[str, str],
) -> Descriptor:
    """A layer's descriptor; a store layer's says what is in it, for whoever has the same paths.

    Without infos it says nothing: a store path in which a wrapper was replaced is another one.
    """
    described = dict(layer.annotations)
    if plan and infos:
        contents = str(contents_digest(infos[path] for path in plan.paths))
        slimmed = {SLIMMED: layer.slimmed} if layer.slimmed else {}
        described |= {STORE_PATHS: contents, **form, **slimmed}
    return Descriptor(layer.media_type, layer.digest, layer.size, described)
