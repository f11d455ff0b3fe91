"""`build --load`: putting what was built into an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.config.options.files import FileOptions
from nix2oci.config.options.load import LoadOptions
from nix2oci.config.options.output import OutputOptions
from nix2oci.errors import ConfigError
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import Platform

if TYPE_CHECKING:
    from nix2oci.oci.engines import Engine, Loaded


def choose_engine(
    options: LoadOptions, files: FileOptions, output: OutputOptions, *, pushed: bool
) -> Engine | None:
    """The engine to load into, if any.

    `pushed` is whether the image goes to a registry as well. Raises `ConfigError` for what does not
    go together, and `EngineError` for an engine that does not answer: now, not after the build.
    """
    name, namespace = options.load, options.namespace
    if namespace is not None and name != "containerd":
        raise ConfigError("cannot use --namespace: only --load containerd has namespaces")
    if name is None:
        return None
    if files.output == "-":
        pipe = f", or leave --load out and pipe: nix2oci build -o - | {name} load"
        raise ConfigError(
            f"cannot load into {name} with -o -: stdout has either the archive or the name",
            hint=f"use -o PATH.tar{pipe if name != 'containerd' else ''}",
        )
    if files.output_format is not None and files.output is None and not pushed:
        raise ConfigError(
            f"cannot use --format with --load {name}: no file is written", hint="add -o PATH"
        )
    from nix2oci.oci.engines import Engine

    found = Engine(name, context.child_environment(), namespace)
    console.progress(output).step(f"{name} runs {found.platform}")
    return found


def load(
    engine: Engine,
    path: str,
    names: Sequence[Reference],
    platforms: Sequence[Platform],
    output: OutputOptions,
    *,
    again: bool = False,
) -> Loaded:
    """Load the image of these names of the layout or archive at `path`.

    Of several platforms the engine gets its own; one alone may be another's, which is said. So are
    a health check that nobody will ask for, and that most of it was loaded before, `again` being
    for an image with the layers of another.
    """
    from nix2oci.oci.healthcheck import Healthcheck
    from nix2oci.oci.layout.source import open_layout

    progress = console.progress(output)
    layout, _ = open_layout(path)
    platform = engine.fitting(platforms)
    if platform is None:
        progress.step(f"{engine.name} runs {engine.platform}, the image is for {platforms[0]}")
    image = layout.image(names[0].tag or "latest", platform)
    check = Healthcheck.read(image.config().run.fields["Healthcheck"].value)
    if check and check.argv and engine.name != "docker":
        progress.step(f"{engine.name} reads no health check of an OCI image")
    size = sum(layer.size for layer in image.layers())
    what = f"loading {names[0]} into {engine.name}"
    if again:
        what += ", all layers again: an engine takes an image as a whole"
    with progress.bytes(what, size) as counter:
        loaded = engine.load(image, names, counter)
    for line in loaded.said.splitlines() if output.verbose else ():
        console.line(line)
    return loaded
