"""`nix2oci ls`: files of an image, as `ls -l` shows them."""

from __future__ import annotations

import os

import click

from nix2oci.cli.render import console
from nix2oci.cli.steps.look import looking_into
from nix2oci.compare.image_listing import list_path
from nix2oci.config.options.group import argument, command
from nix2oci.config.options.output import OUTPUT, OutputOptions
from nix2oci.config.options.platforms import ONE_PLATFORM
from nix2oci.config.options.registry import REGISTRY, RegistryOptions
from nix2oci.report.images import listing_document
from nix2oci.report.terminal.listing import listing_lines


@command(
    "ls",
    argument("image"),
    click.Argument(["path"], default="/"),
    ONE_PLATFORM,
    REGISTRY,
    OUTPUT,
)
def ls(
    *,
    image: str,
    path: str,
    platform: str | None,
    registry: RegistryOptions,
    output: OutputOptions,
) -> None:
    """List what is in the directory PATH of IMAGE, or the one file or link that is there.

    IMAGE is what `nix2oci inspect` takes. Each line has mode, owner, size, path, and where a link
    leads; names of owners are those of the image, which has all layers on top of each other. Only
    the layers are read that it takes. With a slash at its end, PATH may be a link to a directory.
    """
    with looking_into(image, platform, registry, output) as files:
        found = list_path(files, os.fsencode(path))
    if output.as_json:
        console.result_json(listing_document(found))
    else:
        console.result(*listing_lines(found))
