"""What blobs may be, by their media types: those of OCI, and Docker's, which mean the same."""

from __future__ import annotations

from collections.abc import Mapping

from nix2oci.oci.spec import CONFIG, INDEX, LAYER, LAYER_GZIP, LAYER_ZSTD, MANIFEST

_DOCKER = "application/vnd.docker."
DOCKER_INDEX = _DOCKER + "distribution.manifest.list.v2+json"
DOCKER_MANIFEST = _DOCKER + "distribution.manifest.v2+json"

INDEX_TYPES = frozenset({INDEX, DOCKER_INDEX})
MANIFEST_TYPES = frozenset({MANIFEST, DOCKER_MANIFEST})
CONFIG_TYPES = frozenset({CONFIG, _DOCKER + "container.image.v1+json"})
COMPRESSIONS: Mapping[str, str] = {
    LAYER: "none",
    LAYER_GZIP: "gzip",
    LAYER_ZSTD: "zstd",
    _DOCKER + "image.rootfs.diff.tar": "none",
    _DOCKER + "image.rootfs.diff.tar.gzip": "gzip",
    _DOCKER + "image.rootfs.diff.tar.zstd": "zstd",
}
"""How a layer of a media type is compressed."""
