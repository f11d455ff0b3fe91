"""`nix2oci index`: images that were built apart become one, for several platforms."""

from __future__ import annotations

from typing import Any

import click

from nix2oci.cli import options, registries, ui
from nix2oci.errors import ConfigError
from nix2oci.oci.index import copy_blobs, images_at, index_of
from nix2oci.oci.layout.writer import reference_to, streaming, writing
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import Digest, canonical_json


@click.command("index")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("-o", "--output", required=True, metavar="PATH", help="Where it goes; - is stdout.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["oci", "archive"]),
    help="An image layout directory, or one tar. [oci; archive for PATH.tar]",
)
@click.option("--tag", metavar="NAME:TAG", help="Its name. [that of the first image]")
@registries.registry_options
@options.output_options
def command(
    images: tuple[str, ...],
    output: str,
    form: options.Form | None,
    tag: str | None,
    **values: Any,
) -> None:
    """Join images of one program for several platforms into one image index.

    IMAGE is a layout directory or an archive, as PATH or PATH:TAG, or is in a registry:
    REGISTRY/REPOSITORY:TAG. One that is an index itself stands for all of its images. No two may
    be for the same platform. Prints the reference of the index, from which engines and registries'
    clients choose what fits their machine.
    """
    _, form = options.output_form(output, form)
    found = [images_at(text, registries.remote(text, values)) for text in images]
    name = Reference.parse(tag) if tag else found[0].name
    if name is None:
        raise ConfigError(f"cannot name the index: {images[0]} has no name", hint="give it --tag")
    sources = [image for each in found for image in each.images]
    index = index_of(sources)
    opened = streaming(options.standard_output()) if output == "-" else writing(output, form)
    with opened as staging:
        copied: set[Digest] = set()
        for image in sources:
            ui.progress(quiet=values["quiet"]).step(f"copying {image.where} for {image.platform()}")
            copy_blobs(image, staging, copied)
        staging.finish_indexes([(index, name)])
    reference = None if output == "-" else reference_to(output, form, name)
    if values["as_json"]:
        digest = Digest.of(canonical_json(index.to_json()))
        manifests = [
            {"platform": str(each.platform), "digest": str(each.digest)} for each in index.manifests
        ]
        document = {"reference": reference, "name": str(name.tagged()), "digest": str(digest)}
        ui.echo_json({**document, "manifests": manifests}, err=reference is None)
    elif reference:
        click.echo(reference)
