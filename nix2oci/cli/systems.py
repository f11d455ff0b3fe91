"""Which platforms an image is for: `--platform`, or `--system` with several systems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from nix2oci.cli import options
from nix2oci.errors import ConfigError
from nix2oci.nix.client import NixClient, Package
from nix2oci.nix.installable import Installable
from nix2oci.oci.spec import Platform

F = Callable[..., Any]


def platform_option(function: F) -> F:
    """The option that `systems` reads."""
    return click.option(
        "--platform",
        metavar="OS/ARCH,...",
        help="Build for these platforms; several become one image index. [this machine's]",
    )(function)


def systems(values: dict[str, Any]) -> tuple[str, ...]:
    """The systems to evaluate for, none for the one that Nix takes by itself.

    Takes `platform` out of `values`, and a `system` that is a list. One system alone is Nix's own
    option and stays. Raises `ConfigError`.
    """
    platforms, system = values.pop("platform"), values["system"]
    if platforms is not None and system is not None:
        raise ConfigError("cannot use --platform and --system at once: each says the other")
    if platforms is not None:
        found = [Platform.parse(text).system for text in platforms.split(",")]
    elif system is not None and "," in system:
        found = [text.strip() for text in system.split(",")]
        for each in found:
            Platform.of_system(each)
        values["system"] = None
    else:
        return ()
    return tuple(dict.fromkeys(found))


def evaluate(
    nix: NixClient,
    systems: Sequence[str],
    installables: Sequence[Installable],
    values: dict[str, Any],
) -> list[tuple[NixClient, tuple[Package, ...]]]:
    """What Nix knows of the installables, for each system; loads the second half meanwhile."""
    found = []
    for each in [nix.for_system(system) for system in systems] or [nix]:
        packages = options.evaluate(each, installables, values, meanwhile="nix2oci.cli.image")
        found.append((each, packages))
    return found
