"""`nix2oci cat`: a file of an image."""

from __future__ import annotations

import os

from nix2oci.cli.render import console
from nix2oci.cli.steps.look import looking_into
from nix2oci.compare.image_listing import file_content
from nix2oci.config.options.group import argument, command
from nix2oci.config.options.output import BYTES_OUTPUT, OutputOptions
from nix2oci.config.options.platforms import ONE_PLATFORM
from nix2oci.config.options.registry import REGISTRY, RegistryOptions


@command("cat", argument("image"), argument("path"), ONE_PLATFORM, REGISTRY, BYTES_OUTPUT)
def cat(
    *,
    image: str,
    path: str,
    platform: str | None,
    registry: RegistryOptions,
    output: OutputOptions,
) -> None:
    """Print the file PATH of IMAGE, byte for byte.

    IMAGE is what `nix2oci inspect` takes. Links are followed within the image. Layers are read from
    the topmost one down, until one has the file.
    """
    with looking_into(image, platform, registry, output) as files:
        for piece in file_content(files, os.fsencode(path)):
            console.result_bytes(piece)
