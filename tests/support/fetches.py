"""What a registry was asked for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from support.fakeregistry import FakeRegistry

from nix2oci.oci.layout.source import open_layout


def fetches(registry: FakeRegistry, *layouts: Path) -> set[int]:
    """How often the layers of images were asked for."""
    gets = (seen.path for seen in registry.seen if seen.method == "GET")
    found = Counter(path.rpartition("/")[2] for path in gets if "/blobs/" in path)
    images = [open_layout(str(path))[0].image() for path in layouts]
    return {found[str(layer.digest)] for image in images for layer in image.layers()}
