"""`nix2oci build`: flake outputs become one image."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click

from nix2oci import build as pipeline
from nix2oci import config
from nix2oci.cli import options, ui
from nix2oci.config import ImageSpec
from nix2oci.errors import ConfigError
from nix2oci.oci.layer import Compression
from nix2oci.oci.layout import Form, Staging, reference_to, streaming, writing
from nix2oci.oci.reference import Reference
from nix2oci.report import build_document


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
    _report(built, place, as_json=values["as_json"], quiet=values["quiet"])


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
    return pipeline.Destination(place.open, created, options.cores())


def _report(built: pipeline.WrittenImage, place: _Place, *, as_json: bool, quiet: bool) -> None:
    name, digest = built.decided.name, built.image.descriptor.digest
    path = place.path(name)
    reference = None if path == "-" else reference_to(path, place.form, name)
    if not quiet:
        total = sum(layer.size for layer in built.layers)
        click.echo(
            f"nix2oci: {name} is {len(built.layers)} layers, {ui.size(total)}, "
            f"of {len(built.planned.closure)} store paths; digest {digest}",
            err=True,
        )
    if as_json:
        ui.echo_json({"reference": reference, **build_document(built)}, err=path == "-")
    elif reference:
        click.echo(reference)
