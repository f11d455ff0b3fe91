"""`nix2oci build`: flake outputs become one image."""

from __future__ import annotations

from typing import Any

import click

from nix2oci.cli import cache, loading, options, pinned, pushing, registries, systems
from nix2oci.errors import ConfigError
from nix2oci.oci.layer.blob import Compression


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
@cache.build_options
@options.origin_options
@click.option(
    "--image-refs", metavar="FILE", help="Write NAME:TAG@DIGEST of each image into a file."
)
@click.option("--metadata", metavar="FILE", help="Write what --json prints into a file.")
@loading.load_options
@pushing.push_options
@systems.platform_option
@pinned.refresh_option
@registries.registry_options
@options.spec_options
@options.nix_options
@options.output_options
def command(installables: tuple[str, ...], **values: Any) -> None:
    """Build flake outputs into one OCI image, and print its reference.

    INSTALLABLE is what `nix build` takes: .#app, a flake, a store path or a link to one, or with
    --file an attribute; the default is the flake here. The first one names the image and starts
    it; the others are in the image as well.
    """
    output, form = values.pop("output"), values.pop("form")
    engine = loading.engine(values, output, form)
    push = pushing.push(values, output, form, loaded=engine is not None)
    output, form = options.output_form(output, form)
    wanted = systems.systems(values)
    loading.check_platforms(engine, wanted)
    nix = options.nix(values)
    named = options.named(nix, installables, values.pop("file"))
    lock = options.lock_path(values, named[0])
    spec = options.image_spec(values, named[0])
    if form == "archive" and spec.compression is Compression.ZSTD:
        raise ConfigError(
            "cannot write an archive with zstd layers: 'docker load' does not read them",
            hint="use --compression gzip, or --format oci",
        )
    pushing.check_named(push, spec.name)
    loading.check_compression(engine, spec.compression)
    kept = cache.cache_for_build(values)
    options.created(spec)  # what is wrong with it is said now, not after an hour of building
    hints = options.hints(spec, values)
    base = pinned.pinned_base(spec, lock, values, write=True, cache=kept)
    added = [nix.installable(text) for text in spec.contents]
    builds = systems.evaluate(nix, wanted, (*named, *added), values)
    from nix2oci.cli import image  # noqa: PLC0415  # loaded while Nix was evaluating

    place = image.Place(output, form, engine, push)
    with base.opener() as opener:
        image.make(builds, spec, place, values, cache=kept, hints=hints, opener=opener)
