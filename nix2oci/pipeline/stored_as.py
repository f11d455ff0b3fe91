"""How each layer of an image is stored: which ones have a table by which parts of them are pulled.

With `auto` those are the layers that a client is expected to have an older version of. What that
costs and gives is in docs/chunked.md.
"""

from __future__ import annotations

from nix2oci.model.tree import File, Tree
from nix2oci.oci.layer.compression import Compression, Compressions
from nix2oci.plan.layers.layering import LayerPlan

CHUNKED_ABOVE = 0.005
"""The `risk` of a layer past which `auto` chunks it: all below together hardly move anything."""

WORTH_CHUNKING = 1 << 20
"""Bytes of content from which `auto` chunks the last layer, which every build makes anew."""


def of_store_layer(layer: LayerPlan, wanted: Compressions) -> Compression:
    """How a layer of store paths is stored."""
    return wanted.moving if layer.risk > CHUNKED_ABOVE else wanted.settled


def of_last_layer(rootfs: Tree, wanted: Compressions) -> Compression:
    """How the last layer is stored. It is mostly links, of which a table says as much again."""
    content = sum(entry.size for entry in rootfs if isinstance(entry, File))
    return wanted.moving if content >= WORTH_CHUNKING else wanted.settled
