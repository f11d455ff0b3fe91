"""`nix2oci inspect`: the layers, store paths and configuration of an image."""

from __future__ import annotations

from typing import Any

import click

from nix2oci.cli import options, ui
from nix2oci.oci.contents import LayerContents
from nix2oci.oci.source import ImageSource, open_image
from nix2oci.oci.spec import Descriptor
from nix2oci.oci.validate import read_layers

_SHOWN = 3


@click.command("inspect")
@click.argument("image")
@options.output_options
def command(image: str, *, as_json: bool, quiet: bool, verbose: int) -> None:
    """Show the layers, store paths and configuration of IMAGE, whoever made it.

    IMAGE is a layout directory or an archive, as PATH, PATH:TAG or what `nix2oci build` printed.
    The store paths are those that are found in the layers. -v lists all of them.
    """
    source = open_image(image)
    ui.progress(quiet=quiet).step(f"reading {image}")
    layers = source.layers()
    contents = read_layers(source, layers, workers=options.cores())
    if as_json:
        ui.echo_json(_document(source, layers, contents))
    else:
        click.echo(_text(source, layers, contents, shown=None if verbose else _SHOWN))


def _document(
    source: ImageSource, layers: tuple[Descriptor, ...], contents: tuple[LayerContents, ...]
) -> dict[str, Any]:
    return {
        "digest": str(source.descriptor.digest),
        "media_type": source.descriptor.media_type,
        "annotations": source.manifest().get("annotations", {}),
        "config": source.config(),
        "layers": [
            {
                "digest": str(layer.digest),
                "media_type": layer.media_type,
                "size": layer.size,
                "entries": len(found.nodes),
                "paths": dict(sorted(found.store_paths.items())),
            }
            for layer, found in zip(layers, contents, strict=True)
        ],
    }


def _text(
    source: ImageSource,
    layers: tuple[Descriptor, ...],
    contents: tuple[LayerContents, ...],
    shown: int | None,
) -> str:
    config = source.config()
    run = config.get("config") or {}
    fields = {
        "digest": source.descriptor.digest,
        "platform": "/".join(str(config.get(key, "?")) for key in ("os", "architecture")),
        "created": config.get("created", "-"),
        "entrypoint": " ".join(run.get("Entrypoint") or ()) or "-",
        "cmd": " ".join(run.get("Cmd") or ()),
        "user": run.get("User") or "root",
        "workdir": run.get("WorkingDir", ""),
        "env": "\n            ".join(run.get("Env") or ()),
        "ports": " ".join(run.get("ExposedPorts") or ()),
        "volumes": " ".join(run.get("Volumes") or ()),
    }
    head = "\n".join(f"{name + ':':<11} {value}" for name, value in fields.items() if value)
    rows = [
        (number, ui.size(layer.size), len(found.store_paths), _names(found, shown))
        for number, (layer, found) in enumerate(zip(layers, contents, strict=True), 1)
    ]
    paths = sum(len(found.store_paths) for found in contents)
    total = f"{len(layers)} layers, {ui.size(sum(layer.size for layer in layers))}"
    table = ui.table(("layer", "size", "paths", "contents"), rows)
    return f"{head}\n\n{table}\n{total}, {paths} store paths"


def _names(found: LayerContents, shown: int | None) -> str:
    """The largest store paths of a layer, or the first names at its root where it has none."""
    if not found.store_paths:
        top = sorted({path.split(b"/")[0].decode(errors="replace") for path in found.nodes})
        return " ".join(f"/{name}" for name in top)
    paths = sorted(found.store_paths, key=lambda path: (-found.store_paths[path], path))
    if shown is None:
        return " ".join(paths)
    names = [path.rpartition("/")[2].partition("-")[2] for path in paths[:shown]]
    more = f" and {len(paths) - shown} more" if len(paths) > shown else ""
    return ", ".join(names) + more
