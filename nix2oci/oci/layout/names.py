"""Images as a layout or archive lists them, under names that every tool finds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.oci.fields import Json
from nix2oci.oci.layout.archive import docker_manifest
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import (
    INDEX,
    LAYOUT_VERSION,
    REF_NAME,
    Descriptor,
    Digest,
    Index,
    canonical_json,
)

CONTAINERD_NAME = "io.containerd.image.name"
"""Annotation in an index: the whole name of an image, registry and all."""
LAYOUT_MARK = canonical_json({"imageLayoutVersion": LAYOUT_VERSION})
"""The file `oci-layout` (image-layout.md)."""


class Entry(Struct, frozen=True):
    """What an index lists for an image, and what `manifest.json` of an archive has for it."""

    descriptors: tuple[Descriptor, ...]
    """The same one under each name."""
    docker: tuple[Json, ...] = ()

    @classmethod
    def of_image(
        cls,
        manifest: Descriptor,
        names: Sequence[Reference],
        config: Digest,
        layers: Iterable[Digest],
    ) -> Self:
        """An image; Docker has all its names in one place."""
        tags = [qualified(name.tagged()) for name in names]
        return cls(_named(manifest, names), tuple(docker_manifest(tags, config, layers)))

    @classmethod
    def of_index(cls, index: Index, names: Sequence[Reference]) -> Self:
        """An index of several platforms.

        The classic store of Docker could not choose among them: it has nothing to read.
        """
        return cls(_named(Descriptor.of(INDEX, canonical_json(index.to_json())), names))


def _named(descriptor: Descriptor, names: Iterable[Reference]) -> tuple[Descriptor, ...]:
    return tuple(named(descriptor, name) for name in names)


def named(descriptor: Descriptor, name: Reference) -> Descriptor:
    """A descriptor with a name for every tool.

    skopeo, umoci and `oci:PATH:TAG` want the bare tag as `ref.name` (annotations.md); podman and
    containerd take the whole name from containerd's annotation, as `docker save` writes it.
    """
    name = name.tagged()
    names = {REF_NAME: name.tag or "", CONTAINERD_NAME: qualified(name)}
    return replace(descriptor, annotations=names)


def qualified(name: Reference) -> str:
    """The name with the registry and namespace that Docker and containerd take for granted.

    Without them podman would name the images of an archive of several `localhost/…`, and that of
    an archive of one `docker.io/…`.
    """
    if name.registry is None:
        repository = name.repository if "/" in name.repository else f"library/{name.repository}"
        name = replace(name, registry="docker.io", repository=repository)
    return str(name)


def archive_documents(entries: Sequence[Entry]) -> dict[str, bytes]:
    """What an archive has beside blobs, for both families of readers."""
    index = Index(tuple(each for entry in entries for each in entry.descriptors))
    documents = {"oci-layout": LAYOUT_MARK, "index.json": canonical_json(index.to_json())}
    docker = [document for entry in entries for document in entry.docker]
    if docker:
        text = json.dumps(docker, separators=(",", ":"), sort_keys=True)
        documents["manifest.json"] = text.encode()
    return documents
