"""Layers of base images, which came over a network: the next build need not fetch them again."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress

from nix2oci.cache.directory import Cache
from nix2oci.cache.layer_store import keep_blobs
from nix2oci.host.regular_files import open_file
from nix2oci.oci.layout.checksum import is_blob
from nix2oci.oci.layout.reflink import share
from nix2oci.oci.spec import BLOBS, Descriptor, Digest


def take(cache: Cache, layer: Descriptor, target: str) -> bool:
    """Make `target` the blob of a layer that is kept; False where there is none, or a damaged one.

    Its bytes are checked; a damaged one is removed.
    """
    if cache.layers.read(_key(layer.digest)) is None:
        return False
    path = cache.path(f"{BLOBS}/{layer.digest.hex}")
    try:
        share(path, target)
        with open_file(target) as file:
            if is_blob(file, layer.digest):
                return True
        os.unlink(target)
    except OSError:  # it went just now, or there is no room
        return False
    cache.warn(f"{path} is damaged: the layer is fetched again")
    with suppress(OSError):
        os.unlink(path)
    return False


def keep(cache: Cache, layer: Descriptor, path: str) -> None:
    """Keep the blob of a layer, which is the file at `path`."""
    if cache.prepare() and keep_blobs(cache, {layer.digest: path}):
        document = {"digest": str(layer.digest), "size": layer.size, "paths": []}
        cache.layers.write(_key(layer.digest), document)


def _key(digest: Digest) -> str:
    return hashlib.sha256(f"base\n{digest}\n".encode()).hexdigest()
