"""The flags of the image: one for each key of nix2oci.yaml, or for its parts, and `--config`."""

from __future__ import annotations

from collections.abc import Mapping

import click
from msgspec import Struct

from nix2oci.config.flags import FLAGS, OF_LAYERS, SHORT, Flag, Given
from nix2oci.config.options.group import Group, repeated, value


class ImageOptions(Struct, frozen=True):
    """What the user wants the image to be, as far as flags say it."""

    config: str | None
    """The file to use instead of the one beside the flake."""
    flags: Mapping[str, Given]
    """What was given for each flag, by its name without the `--`."""

    @classmethod
    def of(cls, *, config: str | None, **given: Given) -> ImageOptions:
        """From what the flags were given, by click's name for each."""
        return cls(config, {name.replace("_", "-"): value for name, value in given.items()})


def _option(name: str, flag: Flag) -> click.Option:
    if not flag.metavar:
        return click.Option([f"--{name}/--no-{name}"], is_flag=True, default=None, help=flag.help)
    option = repeated if flag.repeated else value
    names = (*SHORT.get(name, ()), f"--{name}")
    return option(names[0], flag.metavar, flag.help, *names[1:])


_OPTIONS = {name: _option(name, flag) for name, flag in FLAGS.items()}

LAYERS: Group[dict[str, Given]] = Group(
    "layers", dict, tuple(_OPTIONS[name] for name in FLAGS if name in OF_LAYERS), "Layers"
)
"""Those of the flags of the image that say how store paths become layers."""

IMAGE = Group(
    "image",
    ImageOptions.of,
    (
        value("--config", "FILE", "Use this file instead of the nix2oci.yaml beside the flake."),
        *_OPTIONS.values(),
    ),
    "Image",
    (LAYERS,),
)
