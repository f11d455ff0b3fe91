"""`nix2oci export`: all files of an image as one tar."""

from __future__ import annotations

from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.cli.steps.look import looking_into
from nix2oci.config.options.group import argument, command, value
from nix2oci.config.options.output import BYTES_OUTPUT, OutputOptions
from nix2oci.config.options.platforms import ONE_PLATFORM
from nix2oci.config.options.registry import REGISTRY, RegistryOptions
from nix2oci.errors import ConfigError
from nix2oci.oci.export import export as exported
from nix2oci.publish.write_file import check_writable, write_pieces


@command(
    "export",
    argument("image"),
    value("-o", "FILE", "Where the tar goes; - is stdout. [-]", "--output", "path"),
    ONE_PLATFORM,
    REGISTRY,
    BYTES_OUTPUT,
)
def export(
    *,
    image: str,
    path: str | None,
    platform: str | None,
    registry: RegistryOptions,
    output: OutputOptions,
) -> None:
    """Write the files of IMAGE, all layers on top of each other, into one tar.

    IMAGE is what `nix2oci inspect` takes. Modes, owners, times, hard links, extended attributes and
    devices are those of the image; what a layer deletes is not there. The same image gives the same
    tar. For the files alone: nix2oci export IMAGE | tar -x -C DIRECTORY
    """
    file = None if path == "-" else path
    if file is None and context.prints_on_terminal():
        raise ConfigError("cannot write a tar to a terminal", hint="name a file: -o FILE")
    if file == "":
        raise ConfigError("cannot write the tar: -o needs a path")
    check_writable(file)
    with looking_into(image, platform, registry, output, whole=True) as files:
        if file:
            write_pieces(file, exported(files))
            return
        for piece in exported(files):
            console.result_bytes(piece)
