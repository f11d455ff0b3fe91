"""The files that `build` writes: the image, and what it says of it."""

from __future__ import annotations

from typing import Literal

import click
from msgspec import Struct

from nix2oci.config.options.group import Group, switch, value

Format = Literal["oci", "archive"]


class FileOptions(Struct, frozen=True):
    """Where `build` writes, as far as the user said."""

    output: str | None
    """The image; `-` is stdout."""
    output_format: Format | None
    image_refs: str | None
    metadata: str | None
    sbom_dir: str | None = None
    """A directory for bills of materials."""
    provenance: str | None = None
    provenance_times: bool = False
    builder_id: str | None = None
    github: bool = False
    """Whether a job of GitHub Actions is told."""


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
        switch("--github", "Write outputs and a summary for the job of GitHub Actions."),
        value(
            "--sbom-dir",
            "DIRECTORY",
            "Write the bill of materials of each image there, as NAME.cdx.json and NAME.spdx.json.",
        ),
        value("--provenance", "FILE", "Write where the image comes from, as a SLSA predicate."),
        switch("--provenance-times", "Say in the provenance when the build began and ended."),
        value("--builder-id", "URI", "Who builds, in the provenance. [by CI's variables]"),
    ),
    "Files",
)

_REPORTS = FILES.flags[2:5]
REPORTS = Group("files", lambda **given: FileOptions(None, None, **given), _REPORTS, "Files")
"""The files that say what was made, where images go elsewhere."""
