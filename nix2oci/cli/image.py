"""The second half of `nix2oci build`: from evaluated packages to the image and the report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from nix2oci.cache.directory import Cache
from nix2oci.cli import base, loading, options, shell, ui
from nix2oci.cli.output import write_file
from nix2oci.cli.pushing import Push
from nix2oci.config.image_spec import ImageSpec
from nix2oci.oci.engines import Engine, Loaded
from nix2oci.oci.layout.writer import OutputFormat, Staging, reference_to, streaming, writing
from nix2oci.oci.reference import Reference
from nix2oci.pipeline import build as pipeline
from nix2oci.pipeline.debug_twin import Twin
from nix2oci.pipeline.describe import image_name
from nix2oci.pipeline.on_base import LOCAL, Opener
from nix2oci.pipeline.platforms import Evaluated, Published, publish
from nix2oci.plan.layers.layering import LayerHints
from nix2oci.report.documents import published_document

if TYPE_CHECKING:
    from nix2oci.cli.delivery import Delivery


@dataclass(frozen=True, slots=True)
class Place:
    """Where the image goes, as far as the user said; `-` is stdout."""

    output: str | None
    form: OutputFormat
    engine: Engine | None = None
    """What it is loaded into when it is there."""
    push: Push | None = None
    """How it is pushed then."""

    @property
    def needs_all(self) -> bool:
        """Whether somebody reads the image here, not only the registry."""
        return self.output is not None or self.engine is not None

    def path(self, name: Reference) -> str:
        if self.output:
            return self.output
        base = name.repository.rpartition("/")[2]
        return f"{base}.oci" if self.form == "oci" else f"{base}.tar"

    def reference(self, name: Reference, main: Reference) -> str | None:
        """What containers tools take for an image, when `main` is the one that names the place.

        That is the name where it was pushed to, or the engine's for one that was loaded.
        """
        if self.push:
            return str(self.push.target(name, main))
        if self.engine:
            return self.engine.known_as(name)
        path = self.path(main)
        return None if path == "-" else reference_to(path, self.form, name)

    def open(self, name: Reference) -> AbstractContextManager[Staging]:
        if self.output == "-":
            return streaming(options.standard_output())
        return writing(self.path(name), self.form)


def make(
    builds: Sequence[Evaluated],
    spec: ImageSpec,
    place: Place,
    values: dict[str, Any],
    *,
    cache: Cache | None = None,
    hints: LayerHints | None = None,
    opener: Opener = LOCAL,
) -> None:
    """Build the image, say what was made on stderr, and print its reference or the report."""
    delivery = _delivery(builds, spec, place, values)
    with loading.ready(place) as existing:
        destination = pipeline.Destination(
            existing.open,
            options.created(spec),
            options.cores(),
            cache,
            reads_zstd=place.form != "archive",
            existing=delivery.existing if delivery else None,
            opener=opener,
        )
        made = publish(builds, spec, destination, options.progress(values), hints)
        name, platforms = made.main[0], made.platforms
        for image in made.images:
            options.say_remarks(image.prepared.closure, image.prepared.plan, hints, values)
        if not values["quiet"]:
            for image in made.images:
                _say(image, spec, verbose=bool(values["verbose"]), several=len(platforms) > 1)
                if image.twin:
                    _say_twin(image.twin, place.reference(image.twin.name, name))
            if len(platforms) > 1:
                _say_index(made)
        loaded = [loading.load(existing, each, name, platforms, values) for each, _ in made.named]
        pushed = delivery.send(existing.path(name), made.named) if delivery else ()
    document = _document(made, place, loaded[0], pushed)
    _write_files(made, place, document, values)
    _report(document, as_json=values["as_json"])


def _delivery(
    builds: Sequence[Evaluated], spec: ImageSpec, place: Place, values: dict[str, Any]
) -> Delivery | None:
    """What the registry says before anything is built, where the image is to go to one."""
    if place.push is None:
        return None
    from nix2oci.cli.delivery import delivery  # noqa: PLC0415  # only this needs a registry

    name = image_name(spec, builds[0][1][0])
    return delivery(place.push, name, spec.compression, values, whole=place.needs_all)


def _say_index(made: Published) -> None:
    name, descriptor = made.main
    platforms = ", ".join(map(str, made.platforms))
    click.echo(f"nix2oci: {name} is for {platforms}; digest {descriptor.digest}", err=True)


def _say(built: pipeline.WrittenImage, spec: ImageSpec, *, verbose: bool, several: bool) -> None:
    """What was made, in a few lines on stderr."""
    shells, read = built.prepared.shells, built.read
    for line in shell.details(shells, every=True) if verbose else ():
        click.echo(line, err=True)
    for line in shell.summary(shells, with_sh=spec.view.sh):
        click.echo(f"nix2oci: {line}", err=True)
    if built.prepared.on_base:
        for line in base.details(built.prepared.on_base, every=verbose):
            click.echo(f"nix2oci: {line}", err=True)
        if verbose:
            click.echo(base.table(built.inherited), err=True)
    if verbose:
        files = f"{ui.count(read.files, 'file')}, {ui.size(read.bytes)}"
        click.echo(f"nix2oci: read {files} of the store to write layers", err=True)
    total = sum(layer.size for layer in built.image.layers)
    platform = f" for {built.image.descriptor.platform}" if several else ""
    click.echo(
        f"nix2oci: {built.identity.name}{platform} is {len(built.image.layers)} layers, "
        f"{ui.size(total)}, "
        f"of {ui.count(len(built.prepared.closure), 'store path')}; "
        f"digest {built.image.descriptor.digest}",
        err=True,
    )


def _say_twin(twin: Twin, reference: str | None) -> None:
    added = f"{ui.size(twin.layer.size)} of tools from {twin.tools.title}"
    click.echo(f"nix2oci: debug twin: {reference or twin.name}, {added}", err=True)


def _document(
    made: Published, place: Place, loaded: Loaded | None, pushed: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """What --json prints; `reference` is what is printed without it."""
    name = made.main[0]
    references = [each["reference"] for each in pushed] or [
        place.reference(each, name) for each, _ in made.named
    ]
    document = {"reference": references[0], **published_document(made)}
    if made.twin:
        document["debug"] = {"reference": references[1], **document["debug"]}
    engine = place.engine.name if place.engine else None
    document["loaded"] = {"engine": engine, "id": str(loaded.id)} if loaded else None
    document["pushed"] = pushed[0] if pushed else None
    return document


def _write_files(
    made: Published, place: Place, document: dict[str, Any], values: dict[str, Any]
) -> None:
    """The files that --metadata and --image-refs name."""
    if values["metadata"]:
        write_file(values["metadata"], ui.json_text(document).encode())
    if values["image_refs"]:
        main, push = made.main[0], place.push
        named = ((push.target(name, main) if push else name, of) for name, of in made.named)
        lines = (f"{name.at(descriptor.digest)}\n" for name, descriptor in named)
        write_file(values["image_refs"], "".join(lines).encode())


def _report(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        ui.echo_json(document, err=document["reference"] is None)
    elif document["reference"]:
        click.echo(document["reference"])
