"""The manifests and indexes that an image is made of, in the order in which they can be put."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from nix2oci.errors import LayoutError
from nix2oci.oci.artifact import EMPTY, Artifact
from nix2oci.oci.artifacts import blobs_of
from nix2oci.oci.fields import Fields, Json, parse_object
from nix2oci.oci.layout.source import ImageSource, Layout
from nix2oci.oci.media_types import INDEX_TYPES
from nix2oci.oci.spec import Descriptor, Digest


class Document(Struct, frozen=True):
    """A manifest or index, and what it refers to that must be there before it."""

    descriptor: Descriptor
    data: bytes
    blobs: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    """What it is about: it is one of that image's referrers."""

    def referrer(self) -> Json:
        """Its descriptor as a list of referrers has it (distribution specification, Referrers)."""
        content = Fields.of(parse_object(self.data, f"manifest {self.descriptor.digest}"))
        kind = content["artifactType"].text() or content["config"].object()["mediaType"].text()
        more = {"artifactType": kind, "annotations": content["annotations"].texts_by_name()}
        return {**self.descriptor.to_json(), **{key: value for key, value in more.items() if value}}

    @classmethod
    def of(cls, artifact: Artifact) -> Document:
        """One that was made here."""
        blobs = (EMPTY, artifact.blob)
        return cls(artifact.descriptor, artifact.manifest, blobs, artifact.subject)


def documents_of(
    layout: Layout, entry: Descriptor, seen: set[Digest], purpose: str, depth: int = 1
) -> Iterator[Document]:
    """An index after what it lists, a manifest alone; nothing that was `seen` before.

    Raises `LayoutError`, which begins with the purpose, and what reading blobs raises.
    """
    if entry.digest in seen:
        return
    seen.add(entry.digest)
    source = ImageSource(layout.where, entry, layout.blobs)
    data = source.read(entry.digest)
    if Digest.of(data) != entry.digest:
        raise LayoutError(f"cannot {purpose}: {entry.digest} has other bytes")
    content = Fields.of(source.document(entry.digest))
    media_type = content["mediaType"].text()
    if media_type not in (None, entry.media_type):
        raise LayoutError(
            f"cannot {purpose}: {entry.digest} has media type "
            f"'{media_type}', and is listed as '{entry.media_type}'"
        )
    blobs: tuple[Descriptor, ...] = ()
    if entry.media_type in INDEX_TYPES:
        for child in layout.nested(entry, depth):
            yield from documents_of(layout, child, seen, purpose, depth + 1)
    else:
        blobs = blobs_of(source)
    subject = Descriptor.read(content["subject"].object())
    content.check(f"cannot {purpose}: {entry.digest}")
    yield Document(Descriptor(entry.media_type, entry.digest, len(data)), data, blobs, subject)


def blobs_behind(documents: Iterable[Document]) -> tuple[Descriptor, ...]:
    """All that manifests refer to, layers before configurations, each digest once."""
    kept = tuple(documents)
    configs = (blob for document in kept for blob in document.blobs[:1])
    layers = (blob for document in kept for blob in document.blobs[1:])
    return tuple({blob.digest: blob for blob in (*layers, *configs)}.values())
