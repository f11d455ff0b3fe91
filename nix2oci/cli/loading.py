"""`build --load`: the options, and putting what was built into an engine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from nix2oci.cli import options, ui
from nix2oci.errors import ConfigError
from nix2oci.oci.layer import Compression
from nix2oci.oci.reference import Reference

if TYPE_CHECKING:
    from nix2oci.cli.image import Place
    from nix2oci.oci.runtimes import Engine, Loaded

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
    if form is not None and output is None:
        raise ConfigError(
            f"cannot use --format with --load {name}: no file is written", hint="add -o PATH"
        )
    from nix2oci.oci.runtimes import Engine  # noqa: PLC0415  # only this needs it

    found = Engine(name, options.environment(), namespace)
    found.platform()
    return found


def check_compression(engine: Engine | None, compression: Compression) -> None:
    """Raise `ConfigError` for layers that the engine does not read."""
    if engine and engine.name == "docker" and compression is Compression.ZSTD:
        raise ConfigError(
            "cannot load zstd layers into docker: not every Docker reads them",
            hint="use --compression gzip",
        )


@contextmanager
def ready(place: Place) -> Iterator[Place]:
    """The place, or where nothing but a load was asked for, one that is gone after it."""
    if place.engine is None or place.output:
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="nix2oci-") as directory:
        yield replace(place, output=os.path.join(directory, "image.oci"), form="oci")


def load(place: Place, name: Reference, main: Reference, values: dict[str, Any]) -> Loaded | None:
    """Load the image `name` that was written at the place which `main` names."""
    if place.engine is None:
        return None
    from nix2oci.oci.source import open_layout  # noqa: PLC0415  # only this needs it

    layout, _ = open_layout(place.path(main))
    image = layout.image(name.tag or "latest", place.engine.platform())
    size = sum(layer.size for layer in image.layers())
    with options.progress(values).bytes(f"loading into {place.engine.name}", size) as done:
        loaded = place.engine.load(image, name, done)
    for line in loaded.said.splitlines() if values["verbose"] else ():
        ui.echo_line(line)
    return loaded
