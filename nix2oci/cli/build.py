"""`nix2oci build`: flake outputs become one image."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click

from nix2oci import build as pipeline
from nix2oci import config
from nix2oci.cli import options, shell, ui
from nix2oci.config import ImageSpec
from nix2oci.errors import ConfigError
from nix2oci.oci.layer import Compression
from nix2oci.oci.layout import Form, Staging, reference_to, streaming, writing
from nix2oci.oci.reference import Reference
from nix2oci.report import build_document
from nix2oci.twin import Twin


@click.command("build")
@click.argument("installables", nargs=-1, metavar="[INSTALLABLE]...")
@click.option(
    "-o", "--output", metavar="PATH", help="Where the image goes; - is stdout. [NAME.oci]"
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["oci", "archive"]),
    help="An image layout directory, or one tar for any loader. [oci; archive for PATH.tar]",
)
@options.spec_options
@options.nix_options
@options.output_options
def command(installables: tuple[str, ...], **values: Any) -> None:
    """Build flake outputs into one OCI image, and print its reference.

    INSTALLABLE is what `nix build` takes: .#app, a flake, a store path or a link to one, or with
    --file an attribute; the default is the flake here. The first one names the image and starts
    it; the others are in the image as well.
    """
    output, form = _output(values.pop("output"), values.pop("form"))
    nix = options.nix(values)
    named = options.named(nix, installables, values.pop("file"))
    spec = options.image_spec(values, named[0])
    if form == "archive" and spec.compression is Compression.ZSTD:
        raise ConfigError(
            "cannot write an archive with zstd layers: 'docker load' does not read them",
            hint="use --compression gzip, or --format oci",
        )
    added = [nix.installable(text) for text in spec.contents]
    place = _Place(output, form)
    built = pipeline.build(
        nix, (*named, *added), spec, _destination(place, spec), options.progress(values)
    )
    if not values["quiet"]:
        _say(built, spec, verbose=bool(values["verbose"]))
        if built.twin:
            _say_twin(built.twin, place.reference(built.twin.name, built.decided.name))
    _report(built, place, as_json=values["as_json"])


class _Place:
    """Where the image goes, as far as the user said."""

    def __init__(self, output: str | None, form: Form) -> None:
        self.output = output
        self.form: Form = form

    def path(self, name: Reference) -> str:
        if self.output:
            return self.output
        base = name.repository.rpartition("/")[2]
        return f"{base}.oci" if self.form == "oci" else f"{base}.tar"

    def reference(self, name: Reference, main: Reference) -> str | None:
        """What containers tools take for an image, when `main` is the one that names the place."""
        path = self.path(main)
        return None if path == "-" else reference_to(path, self.form, name)

    def open(self, name: Reference) -> AbstractContextManager[Staging]:
        if self.output == "-":
            return streaming(options.standard_output())
        return writing(self.path(name), self.form)


def _output(output: str | None, form: Form | None) -> tuple[str | None, Form]:
    if output == "-" and form == "oci":
        raise ConfigError(
            "cannot write an image layout to stdout: it is a directory",
            hint="use --format archive",
        )
    if form is None:
        form = "archive" if output == "-" or (output or "").endswith(".tar") else "oci"
    return output, form


def _destination(place: _Place, spec: ImageSpec) -> pipeline.Destination:
    epoch = options.environment().get("SOURCE_DATE_EPOCH")
    created = partial(config.created, spec.created, epoch, now=lambda: datetime.now(UTC))
    created(None)  # a variable without meaning is an error now, not after an hour of building
    return pipeline.Destination(place.open, created, options.cores())


def _say(built: pipeline.WrittenImage, spec: ImageSpec, *, verbose: bool) -> None:
    """What was made, in a few lines on stderr."""
    shells = built.planned.shells
    for line in shell.details(shells, every=True) if verbose else ():
        click.echo(line, err=True)
    for line in shell.summary(shells, with_sh=spec.view.sh):
        click.echo(f"nix2oci: {line}", err=True)
    total = sum(layer.size for layer in built.layers)
    click.echo(
        f"nix2oci: {built.decided.name} is {len(built.layers)} layers, {ui.size(total)}, "
        f"of {ui.count(len(built.planned.closure), 'store path')}; "
        f"digest {built.image.descriptor.digest}",
        err=True,
    )


def _say_twin(twin: Twin, reference: str | None) -> None:
    added = f"{ui.size(twin.layer.size)} of tools from {twin.tools.title}"
    click.echo(f"nix2oci: debug twin: {reference or twin.name}, {added}", err=True)


def _report(built: pipeline.WrittenImage, place: _Place, *, as_json: bool) -> None:
    name = built.decided.name
    reference = place.reference(name, name)
    if as_json:
        document = {"reference": reference, **build_document(built)}
        if built.twin:
            document["debug"] = {
                "reference": place.reference(built.twin.name, name),
                **document["debug"],
            }
        ui.echo_json(document, err=reference is None)
    elif reference:
        click.echo(reference)
