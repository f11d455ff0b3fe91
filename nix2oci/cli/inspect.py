"""`nix2oci inspect`: the layers, store paths and configuration of an image."""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet
from typing import Any

import click

from nix2oci.cli import options, registries, shell, ui
from nix2oci.oci.layer.extract import small_files
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import Descriptor, Platform
from nix2oci.oci.validate.image import read_layers
from nix2oci.oci.validate.layer_contents import LayerContents
from nix2oci.plan.shell import is_launcher
from nix2oci.plan.shell_record import ANNOTATION, POPULARITY
from nix2oci.text import display

_SHOWN = 3


@click.command("inspect")
@click.argument("image")
@click.option(
    "--platform", metavar="OS/ARCH", help="Of an image for several platforms. [this machine's]"
)
@registries.registry_options
@options.output_options
def command(image: str, platform: str | None, **values: Any) -> None:
    """Show the layers, store paths and configuration of IMAGE, whoever made it.

    IMAGE is a layout directory or an archive, as PATH, PATH:TAG or what `nix2oci build` printed,
    or is in a registry: REGISTRY/REPOSITORY:TAG. The store paths are those that are found in the
    layers. -v lists all of them, and what the image records of wrappers, dropped paths and what
    still names a shell.
    """
    wanted = Platform.parse(platform) if platform else None
    source = registries.open_anywhere(image, values, wanted)
    ui.progress(quiet=values["quiet"]).step(f"reading {image}")
    layers = source.layers()
    contents = read_layers(source, layers, workers=options.cores())
    launchers = _launchers(source, layers, contents)
    verbose = values["verbose"]
    if values["as_json"]:
        document = _document(source, layers, contents)
        found = [display(b"/" + path) for path in launchers]
        ui.echo_json(document | {"launchers": found, "shell": _record(source)})
    else:
        click.echo(_text(source, layers, contents, launchers, shown=None if verbose else _SHOWN))
        for line in shell.recorded(_record(source)) if verbose else ():
            click.echo(line)


def _record(source: ImageSource) -> dict[str, Any] | None:
    """What `nix2oci build` wrote down about shells; None for an image that has no such note."""
    note = (source.manifest().get("annotations") or {}).get(ANNOTATION)
    try:
        record = json.loads(note) if note else None
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _launchers(
    source: ImageSource, layers: tuple[Descriptor, ...], contents: tuple[LayerContents, ...]
) -> list[bytes]:
    """The programs in the last layer that are launchers: they lie over those of a layer below."""
    below = {path for found in contents[:-1] for path in found.store_paths}
    for layer, found in list(zip(layers, contents, strict=True))[-1:]:
        if len(layers) == 1 or found.store_paths.keys() <= below:
            programs = {path for path, node in found.nodes.items() if node.executable}
            files = small_files(source, layer, programs) if programs else {}
            return sorted(path for path, data in files.items() if is_launcher(data))
    return []


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
    launchers: list[bytes],
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
        "popularity": (source.manifest().get("annotations") or {}).get(POPULARITY, ""),
    }
    head = "\n".join(f"{name + ':':<11} {value}" for name, value in fields.items() if value)
    rows = []
    seen: set[str] = set()
    for number, (layer, found) in enumerate(zip(layers, contents, strict=True), 1):
        own = found.store_paths.keys() - seen
        rows.append((number, ui.size(layer.size), len(own), _names(found, own, shown)))
        seen |= own
    total = f"{len(layers)} layers, {ui.size(sum(layer.size for layer in layers))}"
    table = ui.table(("layer", "size", "paths", "contents"), rows)
    below = _launchers_text(launchers, shown)
    return f"{head}\n\n{table}\n{total}, {len(seen)} store paths{below}"


def _launchers_text(launchers: list[bytes], shown: int | None) -> str:
    if not launchers:
        return ""
    stand = "1 launcher stands for a wrapper"
    if len(launchers) > 1:
        stand = f"{len(launchers)} launchers stand for wrappers"
    lines = [f"  /{display(path)}" for path in launchers[:shown]]
    more = len(launchers) - len(lines)
    return "\n".join([f"\n{stand}:", *lines, *([f"  and {more} more"] if more else [])])


def _names(found: LayerContents, own: AbstractSet[str], shown: int | None) -> str:
    """The largest store paths that no layer below has, or the first names at the root for none."""
    if not own:
        top = sorted({path.split(b"/")[0].decode(errors="replace") for path in found.nodes})
        return " ".join(f"/{name}" for name in top)
    paths = sorted(own, key=lambda path: (-found.store_paths[path], path))
    if shown is None:
        return " ".join(paths)
    names = [path.rpartition("/")[2].partition("-")[2] for path in paths[:shown]]
    more = f" and {len(paths) - shown} more" if len(paths) > shown else ""
    return ", ".join(names) + more
