"""The files that `build` writes: the image, and what it says of it."""

from __future__ import annotations

from typing import Literal

import click
from msgspec import Struct

from nix2oci.cli import context
from nix2oci.cli.options.group import Group, value
from nix2oci.errors import ConfigError

Format = Literal["oci", "archive"]


class FileOptions(Struct, frozen=True):
    """Where `build` writes, as far as the user said."""

    output: str | None
    """The image; `-` is stdout."""
    output_format: Format | None
    image_refs: str | None
    metadata: str | None


def chosen_format(output: str | None, output_format: Format | None) -> Format:
    """The form of an image at `output`, where the user did not say; `-` is stdout.

    Raises `ConfigError` for a layout on stdout, for anything on a terminal, and for what is no
    path, or not in one line.
    """
    if output == "" or "\n" in (output or ""):
        raise ConfigError("cannot write an image: -o needs a path, in one line")
    if output == "-" and context.width() is not None:
        raise ConfigError(
            "cannot write an image to a terminal: it is an archive of bytes",
            hint="send it to a file or a program, or name a file with -o",
        )
    if output == "-" and output_format == "oci":
        raise ConfigError(
            "cannot write an image layout to stdout: it is a directory",
            hint="use --format archive",
        )
    if output_format is None:
        return "archive" if output == "-" or (output or "").endswith(".tar") else "oci"
    return output_format


def format_option(text: str) -> click.Option:
    """`--format`."""
    formats = click.Choice(["oci", "archive"])
    return click.Option(["--format", "output_format"], type=formats, help=text)


FILES = Group(
    "files",
    FileOptions,
    (
        value("-o", "PATH", "Where the image goes; - is stdout. [NAME.oci]", "--output"),
        format_option(
            "An image layout directory, or one tar for any loader. [oci; archive for PATH.tar]"
        ),
        value("--image-refs", "FILE", "Write NAME:TAG@DIGEST of each image into a file."),
        value("--metadata", "FILE", "Write what --json prints into a file."),
    ),
    "Files",
)
