"""Where an image is written: not into the flake's own source, and not into the way of git."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from nix2oci.config.image_settings import Settings
from nix2oci.config.options.files import FileOptions, Format
from nix2oci.errors import ConfigError
from nix2oci.nix.flake_place import check_outside, is_below
from nix2oci.nix.host import work_tree
from nix2oci.nix.installable import Installable, attribute_names
from nix2oci.nix.named_flake import named_place


def chosen_format(output: str | None, output_format: Format | None, *, on_terminal: bool) -> Format:
    """The form of an image at `output`, where the user did not say; `-` is stdout.

    `on_terminal` is whether that is a terminal.

    Raises `ConfigError` for a layout on stdout, for anything on a terminal, and for what is no
    path, or not in one line.
    """
    if output == "" or "\n" in (output or ""):
        raise ConfigError("cannot write an image: -o needs a path, in one line")
    if output == "-" and on_terminal:
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


def check_place(
    files: FileOptions,
    output_format: Format,
    named: Sequence[Installable],
    settings: Settings,
    *,
    written: bool,
    env: Mapping[str, str],
) -> bool:
    """Whether the image will lie in a git work tree; `written` says that it is written by default.

    Raises `ConfigError` where it would lie in a directory that Nix copies as a whole.
    """
    if files.output == "-" or not (files.output or written):
        return False
    name = (settings.spec.name or "").rpartition("/")[2]
    name = name or "".join(attribute_names(named[0].attr)[-1:]) or "image"
    default = f"{name}.oci" if output_format == "oci" else f"{name}.tar"
    output = files.output or default
    flakes = [one.flake_ref for one in named if one.kind == "flake"]
    flakes += [text.partition("#")[0] for text in settings.spec.added]
    places = (settings.place, *filter(None, map(named_place, flakes)))
    check_outside(output, places)
    for wanted in settings.spec.files:
        if wanted.kind == "source" and is_below(os.path.realpath(output), wanted.value):
            raise ConfigError(
                f"cannot write {output}: it would be in the next image, as a part of the source "
                f"of {wanted.path}",
                hint="write it elsewhere with -o",
            )
    return is_in_git(output, env)


def is_in_git(path: str, env: Mapping[str, str]) -> bool:
    """Whether a path is in a git work tree, and nothing that a Nix builder makes for its output."""
    in_builder = "NIX_BUILD_TOP" in env and "IN_NIX_SHELL" not in env
    return not in_builder and bool(work_tree(path))
