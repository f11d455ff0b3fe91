"""A base image: what is in it, read once and checked as `validate` would.

The hard part is trust: other layers are laid over these and store paths of theirs are taken
instead of ours, so every layer is read to its end, and a store path counts only when all of it is
there and has the NAR hash that Nix knows.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import LayoutError, RepresentationError
from nix2oci.model.tree import parents
from nix2oci.oci.documents import ForeignConfig
from nix2oci.oci.layout.archive import chunks
from nix2oci.oci.layout.names import CONTAINERD_NAME
from nix2oci.oci.layout.source import FILE_PREFIXES, ImageSource
from nix2oci.oci.media_types import COMPRESSIONS
from nix2oci.oci.spec import (
    LAYER,
    LAYER_GZIP,
    LAYER_ZSTD,
    PREDEFINED,
    REF_NAME,
    Descriptor,
    Digest,
    Platform,
)
from nix2oci.oci.validate.check_documents import read_documents
from nix2oci.oci.validate.finding import Finding
from nix2oci.oci.validate.layer_contents import LayerContents, Node
from nix2oci.oci.validate.merged import merge_layers
from nix2oci.text import display

if TYPE_CHECKING:
    from nix2oci.oci.layer.workers import Blobs

BASE_NAME = PREDEFINED + "base.name"
BASE_DIGEST = PREDEFINED + "base.digest"

_MEDIA_TYPES = {"none": LAYER, "gzip": LAYER_GZIP, "zstd": LAYER_ZSTD}
_NOT_DISTRIBUTED = (".foreign.", ".nondistributable.")

# What is wrong with an image but harms nobody who builds on it: `inherit` writes another history,
# and names that are there twice or hide nothing mean the same to every engine.
_FORGIVEN = frozenset({"history-count", "name", "duplicate", "whiteout", "hardlink"})


class BaseImage(Struct, frozen=True):
    """A base image that was read and found good."""

    source: ImageSource
    config: ForeignConfig
    layers: tuple[Descriptor, ...]
    """Base layer first, with the media types of OCI."""
    contents: tuple[LayerContents, ...]
    nodes: Mapping[bytes, Node]
    """What all layers make together, by path relative to the root; no link is followed."""
    store_paths: Mapping[str, bytes]
    """Store paths of which all is there, and the 32 bytes of their NAR hashes."""

    @property
    def where(self) -> str:
        """How the user named it."""
        return self.source.where

    @property
    def digest(self) -> Digest:
        """Of its manifest."""
        return self.source.descriptor.digest

    @property
    def name(self) -> str:
        """Its name: that which its index gives it, else what a file of it is called."""
        notes = self.source.descriptor.annotations
        tag = notes.get(REF_NAME, "")
        full = notes.get(CONTAINERD_NAME) or (tag if "/" in tag else "")
        if full:
            return full
        path = self.where
        for prefix in FILE_PREFIXES:
            path = path.removeprefix(prefix)
        file, _, named = path.rstrip("/").rpartition("/")[2].partition(":")
        stem, tag = file.removesuffix(".oci").removesuffix(".tar"), tag or named
        return f"{stem}:{tag}" if tag else stem

    @property
    def annotations(self) -> dict[str, str]:
        """Those of the manifest of an image on it (image-spec, annotations.md)."""
        return {BASE_NAME: self.name, BASE_DIGEST: str(self.digest)}

    def directories(self) -> dict[bytes, tuple[int, int, int]]:
        """Mode, uid and gid of directories that have an entry; the topmost layer's count."""
        found: dict[bytes, tuple[int, int, int]] = {}
        for layer in self.contents:
            found |= layer.directories
        return found

    def read(self, path: bytes) -> bytes:
        """The content of a small regular file of the merged file system, links not followed."""
        from nix2oci.oci.layer.extract import small_files  # noqa: PLC0415  # few images have a base

        for contents, layer in zip(reversed(self.contents), reversed(self.layers), strict=True):
            if path in contents.nodes:
                found = small_files(self.source, layer, {path})
                if path in found:
                    return found[path]
                break
        raise RepresentationError(
            f"cannot read /{path.decode(errors='replace')} of base image {self.where}: "
            "it is no plain file of at most 2 MiB"
        )

    def copy_layers(self, blobs: Blobs) -> None:
        """Copy every layer's blob as it is; raises `LayoutError` where one has other bytes."""
        for digest, size in {layer.digest: layer.size for layer in self.layers}.items():
            hashed = hashlib.sha256()
            with self.source.blobs.open(digest) as file, blobs.new_blob() as blob:
                for chunk in chunks(file, size + 1):
                    hashed.update(chunk)
                    blob.write(chunk)
                if hashed.hexdigest() != digest.hex:
                    raise LayoutError(
                        f"cannot copy blob {digest} of base image {self.where}: "
                        f"it has digest sha256:{hashed.hexdigest()}"
                    )
                blob.commit(digest, size)


def read_base_image(source: ImageSource, platform: Platform, workers: int = 0) -> BaseImage:
    """Read a base image for a platform; layers are read `workers` at once, all cores by default.

    Raises `LayoutError` for an image that is not as it should be, `RepresentationError` for one of
    another platform or with layers that are not to be distributed, and `OutputError`.
    """
    _refuse_undistributed(source)
    documents = read_documents(source)
    _refuse(source, documents.findings)
    if documents.config is None:
        raise AssertionError("a document that was not read is a finding")
    _check_platform(source, documents.config.platform, platform)
    from nix2oci.oci.validate.read_layers import read_layers  # noqa: PLC0415  # as above

    contents = read_layers(
        source, documents.layers, documents.diff_ids, workers, hash_store_paths=True
    )
    _refuse(source, [found for layer in contents for found in layer.findings])
    nodes, _ = merge_layers(contents)
    _refuse_upwards(source, nodes)
    layers = tuple(
        replace(layer, media_type=_MEDIA_TYPES[COMPRESSIONS[layer.media_type]], platform=None)
        for layer in documents.layers
    )
    found = _complete(contents, nodes)
    return BaseImage(source, documents.config, layers, contents, nodes, found)


def _refuse(source: ImageSource, findings: Sequence[Finding]) -> None:
    for finding in findings:
        if finding.level == "error" and finding.code not in _FORGIVEN:
            raise LayoutError(
                f"cannot use base image {source.where}: {finding.where}: {finding.message}"
            )


def _refuse_undistributed(source: ImageSource) -> None:
    for layer in source.layers():
        if any(part in layer.media_type for part in _NOT_DISTRIBUTED):
            raise RepresentationError(
                f"cannot use base image {source.where}: its layer {layer.digest} is "
                f"'{layer.media_type}', which is not to be distributed"
            )


def _refuse_upwards(source: ImageSource, nodes: Iterable[bytes]) -> None:
    for path in nodes:
        if b".." in path and b".." in path.split(b"/"):
            raise LayoutError(
                f"cannot use base image {source.where}: the name {display(path)} leads upwards"
            )


def _check_platform(source: ImageSource, found: Platform, platform: Platform) -> None:
    if not found.fits(platform):
        raise RepresentationError(
            f"cannot use base image {source.where}: it is for {found}, the image is for {platform}"
        )


def _complete(contents: Sequence[LayerContents], nodes: Mapping[bytes, Node]) -> dict[str, bytes]:
    """Store paths that every layer which has a part of them has whole, and nothing took away."""
    hashes: dict[str, set[bytes]] = {}
    for layer in contents:
        for path in layer.store_paths:
            hashes.setdefault(path, set()).add(layer.nar_hashes.get(path, b""))
    whole = {path[1:].encode(): found for path, found in hashes.items() if len(found) == 1}
    merged = _count(nodes, whole)
    alone = [_count(layer.nodes, whole) for layer in contents]
    return {
        "/" + path.decode(): nar_hash
        for path, (nar_hash,) in whole.items()
        if nar_hash and max(count[path] for count in alone) == merged[path]
    }


def _count(nodes: Mapping[bytes, Node], store_paths: Mapping[bytes, object]) -> Counter[bytes]:
    """How many paths are in each store path."""
    return Counter(
        above for path in nodes for above in (path, *parents(path)) if above in store_paths
    )
