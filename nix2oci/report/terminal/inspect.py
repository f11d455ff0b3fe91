"""The layers, store paths and configuration of an image, in words."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from nix2oci import text
from nix2oci.compare.image_contents import Inspected
from nix2oci.model.annotation_keys import POPULARITY
from nix2oci.oci.healthcheck import Healthcheck
from nix2oci.oci.layer.compression import CHUNKED, stored_as
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import Descriptor, Digest
from nix2oci.oci.validate.layer_contents import LayerContents
from nix2oci.report.terminal.styled import Line, Span, Table, Text
from nix2oci.text import display

_SHOWN = 3
"""Names of store paths in a row, and launchers, that are shown without -v."""


def image_text(found: Inspected, *, every: bool) -> Text:
    """What was found; with `every`, all store paths and launchers."""
    shown = None if every else _SHOWN
    fields = {
        **_fields(found.source),
        "left out": [" ".join(found.slim_rules)],
        "chunked": [_chunked(found.layers)],
    }
    head = [line for field in fields.items() for line in _lines(*field)]
    rows = []
    seen: set[str] = set()
    numbers: dict[Digest, int] = {}
    for number, (layer, contents) in enumerate(found.by_layer, 1):
        first = numbers.setdefault(layer.digest, number)
        own = contents.store_paths.keys() - seen if first == number else set()
        names = _names(contents, own, shown) if first == number else f"as in layer {first}"
        rows.append((number, text.size(layer.size), len(own), names))
        seen |= own
    size = text.size(sum(layer.size for layer in found.layers))
    total = f"{len(found.layers)} layers, {size}, {len(seen)} store paths"
    layers = Table(("layer", "size", "paths", "contents"), rows)
    return [*head, "", layers, total, *_launchers(found.launchers, shown)]


def _chunked(layers: Sequence[Descriptor]) -> str:
    """How many layers are zstd:chunked; empty where none is."""
    number = sum(stored_as(layer.media_type, layer.annotations) == CHUNKED for layer in layers)
    return f"{number} of {text.count(len(layers), 'layer')}, {CHUNKED}" if number else ""


def _lines(name: str, values: Sequence[str]) -> list[Line]:
    """A line for each value, the first with the name; none where all are empty."""
    titles = [Span(f"{name + ':':<11} ", "bold"), *[Span(" " * 12)] * len(values)]
    pairs = zip(titles, values, strict=False)
    return [(title, Span(value)) for title, value in pairs] if any(values) else []


def _fields(source: ImageSource) -> dict[str, Sequence[str]]:
    """The lines of each."""
    config = source.config()
    run = config.run
    return {
        "digest": [str(source.descriptor.digest)],
        "platform": [f"{config.platform.os or '?'}/{config.platform.architecture or '?'}"],
        "created": [config.created or "-"],
        "entrypoint": [" ".join(run.entrypoint) or "-"],
        "cmd": [" ".join(run.cmd)],
        "user": [run.user or "root"],
        "workdir": [run.working_dir],
        "env": run.env,
        "health": [str(Healthcheck.read(run.fields["Healthcheck"].value) or "")],
        "ports": [" ".join(run.exposed_ports)],
        "volumes": [" ".join(run.volumes)],
        "popularity": [source.manifest().annotations.get(POPULARITY, "")],
    }


def _launchers(launchers: Sequence[bytes], shown: int | None) -> list[str]:
    if not launchers:
        return []
    title = "1 launcher stands for a wrapper:"
    if len(launchers) > 1:
        title = f"{len(launchers)} launchers stand for wrappers:"
    rest = text.more(len(launchers), shown)
    lines = [f"  /{display(path)}" for path in launchers[:shown]]
    return [title, *lines, *([f"  {rest}"] if rest else [])]


def _names(found: LayerContents, own: AbstractSet[str], shown: int | None) -> str:
    """The largest store paths that no layer below has, or the first names at the root for none."""
    if not own:
        top = sorted({path.split(b"/")[0].decode(errors="replace") for path in found.nodes})
        return " ".join(f"/{name}" for name in top)
    paths = sorted(own, key=lambda path: (-found.store_paths[path], path))
    if shown is None:
        return " ".join(paths)
    return text.and_more([path.rpartition("/")[2].partition("-")[2] for path in paths], shown)
