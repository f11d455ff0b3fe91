"""What is attached to an image: its referrers, and signatures under tags, whoever made them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from nix2oci.errors import LayoutError, OutputError
from nix2oci.oci.artifacts import is_artifact, referrers_of
from nix2oci.oci.documents import ForeignManifest
from nix2oci.oci.layout.source import ImageSource, Layout
from nix2oci.oci.media_types import INDEX_TYPES
from nix2oci.oci.registry.signature_tag import signature_tag
from nix2oci.oci.spec import Descriptor, Digest
from nix2oci.trust.bundle import (
    BUNDLE_FAMILY,
    PREDICATE_TYPE,
    SIMPLE_SIGNATURE,
    SIMPLE_SIGNING,
    Bundle,
)
from nix2oci.trust.trust_document import CONTENTS, CYCLONEDX, IN_TOTO, SPDX

_MOST = 128 << 20
"""Bytes: a larger document is listed, and not looked into."""
_READ = frozenset({CYCLONEDX, SPDX, CONTENTS, IN_TOTO, SIMPLE_SIGNING})


class Attached(Struct, frozen=True):
    """Something that is attached to a manifest."""

    subject: Digest
    descriptor: Descriptor
    """Of the manifest that carries it."""
    artifact_type: str
    blob: Descriptor | None
    """None where it is not one blob."""
    data: bytes | None = None
    """None where it is of a kind that is not looked into, or cannot be read."""
    bundle: Bundle | None = None
    predicate_type: str = ""
    problem: str = ""
    """Why it cannot be read, where it should be."""

    @property
    def is_signed(self) -> bool:
        """Whether it is a signature, or has one."""
        is_bundle = self.artifact_type.startswith(BUNDLE_FAMILY)
        return is_bundle or self.artifact_type == SIMPLE_SIGNING

    @property
    def size(self) -> int:
        return self.blob.size if self.blob else self.descriptor.size


def subjects_of_image(
    layout: Layout, tag: str | None, image: ImageSource
) -> tuple[Descriptor, ...]:
    """What may have something attached: the index that a tag means, if it is one, and the image."""
    entries = {entry.digest: entry for entry in layout.images(tag)}
    indexes = [each for each in entries.values() if each.media_type in INDEX_TYPES]
    return (*(indexes if len(entries) == 1 else ()), image.descriptor)


def images_of(layout: Layout, tag: str | None) -> tuple[ImageSource, ...]:
    """The image that a tag means, or those of the index that it means.

    Raises `ConfigError` where it means several, `LayoutError`, `OutputError`.
    """
    entries = tuple({entry.digest: entry for entry in layout.images(tag)}.values())
    if len(entries) != 1 or entries[0].media_type not in INDEX_TYPES:
        return (layout.image(tag),)
    listed = (ImageSource(layout.where, each, layout.blobs) for each in layout.nested(entries[0]))
    return tuple(each for each in listed if not is_artifact(each))


@runtime_checkable
class FindsTags(Protocol):
    """Blobs of a registry, which has tags beside the one that was asked for."""

    def tagged(self, tag: str) -> Descriptor | None:
        """The manifest under a tag; None where there is none."""


def attached_to(layout: Layout, subjects: Sequence[Descriptor]) -> tuple[Attached, ...]:
    """All that is attached to manifests, in the order of their lists.

    Raises `RegistryError` where a registry does not list it, `OutputError`, `LayoutError`.
    """
    digests = [each.digest for each in subjects]
    about = referrers_of(layout)
    listed = {entry.digest: entry for digest in digests for entry in about(digest)}
    found = (_referrer(layout, each) for each in listed.values())
    signatures = (each for digest in digests for each in _tagged(layout, digest))
    return (*(each for each in found if each.subject in digests), *signatures)


def _referrer(layout: Layout, entry: Descriptor) -> Attached:
    """What a listed manifest carries."""
    subject = layout.subject(entry) or entry.digest
    try:
        manifest = ImageSource(layout.where, entry, layout.blobs).manifest()
    except (LayoutError, OutputError) as err:
        kind = entry.artifact_type or entry.media_type
        return Attached(subject, entry, kind, None, problem=str(err))
    kind = manifest.artifact_type or (manifest.config.media_type if manifest.config else "")
    blob = manifest.layers[0] if len(manifest.layers) == 1 else None
    said = manifest.annotations.get(PREDICATE_TYPE, "")
    return _looked_into(layout, Attached(subject, entry, kind, blob, predicate_type=said))


def _looked_into(layout: Layout, found: Attached) -> Attached:
    is_bundle = found.artifact_type.startswith(BUNDLE_FAMILY)
    if found.blob is None or found.blob.size > _MOST:
        return found
    if not is_bundle and found.artifact_type not in _READ:
        return found
    data, problem = _bytes(layout, found.blob)
    bundle = _bundle(data) if is_bundle and data is not None else None
    said = _predicate_type(bundle) if bundle else found.predicate_type
    head = (found.subject, found.descriptor, found.artifact_type, found.blob)
    return Attached(*head, data, bundle, said, problem)


def _bundle(data: bytes) -> Bundle | None:
    """A bundle; None for one of another kind, as others make them."""
    try:
        return Bundle.read(data)
    except LayoutError:
        return None


def _predicate_type(bundle: Bundle) -> str:
    """What a bundle says; an annotation may say something else, and nothing where it is broken."""
    try:
        return bundle.statement.predicate_type
    except LayoutError:
        return ""


def _bytes(layout: Layout, blob: Descriptor) -> tuple[bytes | None, str]:
    """The bytes of a blob, or why there are none."""
    try:
        with layout.blobs.open(blob.digest) as file:
            data = file.read(_MOST)
    except OutputError as err:
        return None, str(err)
    if Digest.of(data) != blob.digest:
        return None, f"blob {blob.digest} has other bytes"
    return data, ""


def _tagged(layout: Layout, subject: Digest) -> Iterator[Attached]:
    """The signatures of a manifest under their tag, one for each layer."""
    tag = signature_tag(subject)
    entry = layout.blobs.tagged(tag) if isinstance(layout.blobs, FindsTags) else None
    manifest = _manifest(layout, entry) if entry else None
    if entry is None or manifest is None:
        return
    for layer in manifest.layers:
        if layer.media_type == SIMPLE_SIGNING and SIMPLE_SIGNATURE in layer.annotations:
            data, problem = _bytes(layout, layer)
            yield Attached(subject, entry, SIMPLE_SIGNING, layer, data, problem=problem)


def _manifest(layout: Layout, entry: Descriptor) -> ForeignManifest | None:
    try:
        return ImageSource(layout.where, entry, layout.blobs).manifest()
    except LayoutError:
        return None
