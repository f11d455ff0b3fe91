"""`build --load`: the options, and putting what was built into an engine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from nix2oci.cli import options, ui
from nix2oci.errors import ConfigError, OutputError
from nix2oci.oci.layer.blob import Compression
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import Platform

if TYPE_CHECKING:
    from nix2oci.cli.image import Place
    from nix2oci.oci.engines import Engine, Loaded

F = Callable[..., Any]


def load_options(function: F) -> F:
    """The options that put an image into an engine."""
    function = click.option(
        "--namespace",
        metavar="NAME",
        help="With --load containerd: the namespace; Kubernetes has k8s.io.",
    )(function)
    return click.option(
        "--load",
        type=click.Choice(["docker", "podman", "containerd"]),
        help="Put the image into this engine, and print the name that it has there.",
    )(function)


def engine(values: dict[str, Any], output: str | None, form: str | None) -> Engine | None:
    """The engine to load into, if any; takes the options of `load_options` out of `values`.

    `output` and `form` are what the user said of them. Raises `ConfigError` for what does not go
    together, and `EngineError` for an engine that does not answer: now, not after the build.
    """
    name, namespace = values.pop("load"), values.pop("namespace")
    if namespace is not None and name != "containerd":
        raise ConfigError("cannot use --namespace: only --load containerd has namespaces")
    if name is None:
        return None
    if output == "-":
        raise ConfigError(
            f"cannot load into {name} with -o -: stdout has either the archive or the name",
            hint=f"use -o PATH.tar, or leave --load out and pipe: nix2oci build -o - | {name} load"
            if name != "containerd"
            else "use -o PATH.tar",
        )
    if form is not None and output is None and values["push"] is None:
        raise ConfigError(
            f"cannot use --format with --load {name}: no file is written", hint="add -o PATH"
        )
    from nix2oci.oci.engines import Engine  # noqa: PLC0415  # only this needs it

    found = Engine(name, options.environment(), namespace)
    options.progress(values).step(f"{name} runs {found.platform}")
    return found


def check_compression(engine: Engine | None, compression: Compression) -> None:
    """Raise `ConfigError` for layers that the engine does not read."""
    if engine and engine.name == "docker" and compression is Compression.ZSTD:
        raise ConfigError(
            "cannot load zstd layers into docker: not every Docker reads them",
            hint="use --compression gzip",
        )


def check_platforms(engine: Engine | None, systems: Sequence[str]) -> None:
    """Raise `ConfigError` where the engine runs none of several platforms."""
    platforms = [Platform.of_system(system) for system in systems]
    if engine and len(platforms) > 1 and _fitting(platforms, engine.platform) is None:
        raise ConfigError(
            f"cannot load into {engine.name}: it runs {engine.platform}, "
            f"and the image is for {' and '.join(map(str, platforms))}",
            hint=f"add {engine.platform} to --platform",
        )


def _fitting(platforms: Sequence[Platform], wanted: Platform) -> Platform | None:
    """The platform that an engine runs: engines do not always say which variant of arm."""
    for one in platforms:
        same = (one.os, one.architecture) == (wanted.os, wanted.architecture)
        if same and wanted.variant in (None, one.variant):
            return one
    return None


@contextmanager
def ready(place: Place) -> Iterator[Place]:
    """The place, or where no file was asked for, one that is gone afterwards."""
    if place.output or not (place.engine or place.push):
        yield place
        return
    try:
        scratch = tempfile.TemporaryDirectory(prefix="nix2oci-", ignore_cleanup_errors=True)
    except OSError as err:
        raise OutputError(f"cannot make a temporary directory: {err.strerror}") from err
    with scratch as directory:
        yield replace(place, output=os.path.join(directory, "image.oci"), form="oci")


def load(
    place: Place,
    name: Reference,
    main: Reference,
    platforms: Sequence[Platform],
    values: dict[str, Any],
) -> Loaded | None:
    """Load the image `name` that was written at the place which `main` names.

    Of several platforms the engine gets its own; one alone may be another's, which is said.
    """
    if place.engine is None:
        return None
    from nix2oci.oci.layout.source import open_layout  # noqa: PLC0415  # only this needs it

    layout, _ = open_layout(place.path(main))
    wanted = place.engine.platform
    platform = _fitting(platforms, wanted)
    if platform is None and not values["quiet"]:
        ui.echo_line(f"nix2oci: {place.engine.name} runs {wanted}, the image is for {platforms[0]}")
    image = layout.image(name.tag or "latest", platform)
    size = sum(layer.size for layer in image.layers())
    with options.progress(values).bytes(f"loading into {place.engine.name}", size) as done:
        loaded = place.engine.load(image, name, done)
    for line in loaded.said.splitlines() if values["verbose"] else ():
        ui.echo_line(line)
    return loaded
