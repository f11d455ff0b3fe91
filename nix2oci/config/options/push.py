"""`build --push`: putting an image into a registry."""

from __future__ import annotations

from typing import Literal

import click
from msgspec import Struct

from nix2oci.config.options.group import Group, repeated, switch, value

VARIABLE = "NIX2OCI_REPO"
"""Has the registry and path that images go to where `--push` names none."""


class PushOptions(Struct, frozen=True):
    """What the user said of pushing."""

    push: tuple[str, ...]
    """Where to; `""` where `--push` has no REF."""
    reuse: tuple[str, ...]
    no_reuse: bool
    trust_reuse: Literal["repository", "registry"]


PUSH = Group(
    "push",
    PushOptions,
    (
        click.Option(
            ["--push"],
            metavar="[REF]",
            is_flag=False,
            flag_value="",
            multiple=True,
            help="Push the image, and print its reference there; again for each further place. "
            f"[${VARIABLE}/NAME:TAG]",
        ),
        repeated(
            "--reuse",
            "REF",
            "With --push: do not make layers that this image has. [what is pushed over]",
        ),
        switch("--no-reuse", "With --push: make all layers, whatever the registry has."),
        click.Option(
            ["--trust-reuse"],
            type=click.Choice(["repository", "registry"]),
            default="repository",
            show_default=True,
            help="Which images are believed about their layers: those in the same repository or "
            "registry.",
        ),
    ),
    "Registries",
)

PUSH_BELOW = Group(
    "push",
    lambda *, push, **given: PushOptions((push or "",), **given),
    (
        value(
            "--push",
            "REGISTRY/PATH",
            f"Where the images go: each to its name below this. [${VARIABLE}, or where an image's "
            "own name says]",
        ),
        *PUSH.flags[1:],
    ),
    "Registries",
)
"""For images that are pushed in any case, each to a repository of its own."""
