"""`build --load`: putting an image into an engine."""

from __future__ import annotations

from typing import Literal

import click
from msgspec import Struct

from nix2oci.config.options.group import Group, value

EngineName = Literal["docker", "podman", "containerd"]


class LoadOptions(Struct, frozen=True):
    """Which engine gets the image."""

    load: EngineName | None
    """The engine's name."""
    namespace: str | None


LOAD = Group(
    "load",
    LoadOptions,
    (
        click.Option(
            ["--load"],
            type=click.Choice(["docker", "podman", "containerd"]),
            help="Put the image into this engine, and print the name that it has there.",
        ),
        value(
            "--namespace", "NAME", "With --load containerd: the namespace; Kubernetes has k8s.io."
        ),
    ),
    "Engines",
)
