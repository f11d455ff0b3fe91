"""What `docker save` wrote before version 25, as if it were an image layout.

There are no manifests in it, so one is made; for the layers' digests each is read once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from nix2oci.errors import LayoutError
from nix2oci.oci.documents import read_docker_manifest
from nix2oci.oci.fields import MAX_DOCUMENT, Json
from nix2oci.oci.layout.archive import Files
from nix2oci.oci.spec import (
    CONFIG,
    LAYER,
    LAYER_GZIP,
    LAYER_ZSTD,
    MANIFEST,
    REF_NAME,
    Descriptor,
    Digest,
    Manifest,
    canonical_json,
)


@dataclass(frozen=True, slots=True)
class DockerArchive:
    """An index of the images, the manifests that were made for them, and where the blobs are."""

    index: Json
    made: Mapping[Digest, bytes]
    names: Mapping[Digest, str]


def read_docker_archive(files: Files, text: str) -> DockerArchive:
    """Read `manifest.json`, and all that it names; `LayoutError`, `OSError`."""
    with files.open("manifest.json") as file:
        images = read_docker_manifest(file.read(MAX_DOCUMENT), text)
    if images is None:
        raise LayoutError(f"cannot read image at {text}: manifest.json lists no images")
    made: dict[Digest, bytes] = {}
    names: dict[Digest, str] = {}
    entries: list[Json] = []
    for image in images:
        config = _described(files, image.config, names)
        layers = tuple(_described(files, name, names) for name in image.layers)
        manifest = canonical_json(Manifest(replace(config, media_type=CONFIG), layers).to_json())
        described = Descriptor.of(MANIFEST, manifest)
        made[described.digest] = manifest
        tags = [name.rpartition(":")[2] for name in image.tags]
        annotations = [{REF_NAME: tag} for tag in tags] or [{}]
        entries += [replace(described, annotations=a).to_json() for a in annotations]
    return DockerArchive({"schemaVersion": 2, "manifests": entries}, made, names)


def _described(files: Files, name: str, names: dict[Digest, str]) -> Descriptor:
    """The descriptor of a file; its name is noted under its digest."""
    name = os.path.normpath(name)
    digest, head = hashlib.sha256(), b""
    with files.open(name) as file:
        while chunk := file.read(1 << 20):
            head = head or chunk[:4]
            digest.update(chunk)
    found = Digest("sha256:" + digest.hexdigest())
    names[found] = name
    return Descriptor(layer_media_type(head), found, files.size(name) or 0)


def layer_media_type(head: bytes) -> str:
    """The media type that the first four bytes of a layer ask for."""
    if head.startswith(b"\x1f\x8b"):
        return LAYER_GZIP
    return LAYER_ZSTD if head.startswith(b"\x28\xb5\x2f\xfd") else LAYER
