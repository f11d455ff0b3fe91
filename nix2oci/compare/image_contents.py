"""What is in the layers of an image, for `inspect`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from nix2oci.errors import LayoutError
from nix2oci.model.annotation_keys import SHELL, SLIM
from nix2oci.oci.fields import parse_object
from nix2oci.oci.layer.extract import small_files
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import Descriptor
from nix2oci.oci.validate.layer_contents import LayerContents
from nix2oci.oci.validate.read_layers import read_whole_layers
from nix2oci.plan.shell import is_launcher
from nix2oci.text import display
from nix2oci.trust.contents import Contents


class LayerSummary(Struct, frozen=True):
    """What is in a layer."""

    store_paths: Mapping[str, int]
    """With the bytes that they take in the tar, or of NAR where the layer was not read."""
    entries: int | None
    """None where that is not known."""
    top: tuple[str, ...]
    """The names at the root."""


class Inspected(Struct, frozen=True):
    """An image and what was found in its layers."""

    source: ImageSource
    layers: tuple[Descriptor, ...]
    contents: tuple[LayerSummary, ...]
    launchers: Sequence[str]
    """Where they are in the image."""
    shell_record: Mapping[str, object] | None
    """What `nix2oci build` wrote down about shells; None for an image that has no such note."""
    is_read: bool = True
    """Whether layers were read, and it is not all of an attached document."""

    @property
    def slim_rules(self) -> tuple[str, ...]:
        """The rules by which something was left out of store paths, with their versions."""
        return tuple(self.source.manifest().annotations.get(SLIM, "").split())

    @property
    def by_layer(self) -> tuple[tuple[Descriptor, LayerSummary], ...]:
        return tuple(zip(self.layers, self.contents, strict=True))


def read_image(source: ImageSource, workers: int = 0) -> Inspected:
    """Read all layers; raises `OutputError` and `LayoutError` where that cannot be done."""
    layers = source.layers()
    contents = read_whole_layers(source, layers, workers)
    launchers = _launchers(source, layers, contents)
    summaries = tuple(map(_summary, contents))
    return Inspected(source, layers, summaries, list(map(display, launchers)), _record(source))


def described_image(source: ImageSource, contents: Contents) -> Inspected:
    """The same without reading, of the document about it; raises `OutputError`, `LayoutError`."""
    summaries = tuple(LayerSummary(each.paths, each.entries, each.top) for each in contents.layers)
    launchers = [path.removeprefix("/") for path in contents.launchers]
    known = (source, source.layers(), summaries, launchers, _record(source))
    return Inspected(*known, is_read=False)


def _summary(found: LayerContents) -> LayerSummary:
    top = sorted({path.split(b"/")[0].decode(errors="replace") for path in found.nodes})
    return LayerSummary(found.store_paths, len(found.nodes), tuple(top))


def _record(source: ImageSource) -> dict[str, object] | None:
    note = source.manifest().annotations.get(SHELL)
    try:
        return dict(parse_object(note.encode(), SHELL)) if note else None
    except LayoutError:
        return None


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
