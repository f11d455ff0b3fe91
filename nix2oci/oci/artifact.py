"""A manifest that is no image, made here: one blob with what is said of an image, its subject.

image-spec manifest.md, *Guidelines for Artifact Usage*: an empty configuration, `artifactType`, and
`subject`. The type of the blob is that of the artifact, since scanners compare both, and there is
no time in it, so that what is attached again has the digest that it had.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Self

from msgspec import Struct

from nix2oci.errors import OutputError
from nix2oci.oci.documents import ForeignManifest
from nix2oci.oci.layout.archive import Readable
from nix2oci.oci.layout.source import Blobs
from nix2oci.oci.spec import MANIFEST, PREDEFINED, Descriptor, Digest, canonical_json

_EMPTY = b"{}"
EMPTY = Descriptor.of("application/vnd.oci.empty.v1+json", _EMPTY)
"""The configuration of what has none."""
_CREATED = PREDEFINED + "created"


class Artifact(Struct, frozen=True):
    """A manifest about another one, with all that it is made of."""

    subject: Descriptor
    descriptor: Descriptor
    """Of the manifest."""
    manifest: bytes
    blob: Descriptor
    data: bytes
    annotations: Mapping[str, str]

    @classmethod
    def about(
        cls,
        subject: Descriptor,
        data: bytes,
        media_type: str,
        annotations: Mapping[str, str] | None = None,
    ) -> Self:
        """An artifact of a media type; equal arguments give equal bytes."""
        named = Descriptor(subject.media_type, subject.digest, subject.size)
        blob = Descriptor.of(media_type, data)
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": media_type,
            "config": EMPTY.to_json(),
            "layers": [blob.to_json()],
            "subject": named.to_json(),
            **({"annotations": dict(annotations)} if annotations else {}),
        }
        manifest = canonical_json(document)
        return cls(
            named, Descriptor.of(MANIFEST, manifest), manifest, blob, data, annotations or {}
        )

    @property
    def blobs(self) -> dict[Digest, bytes]:
        """All bytes: what the manifest needs, then the manifest."""
        digests = (EMPTY.digest, self.blob.digest, self.descriptor.digest)
        return dict(zip(digests, (_EMPTY, self.data, self.manifest), strict=True))


def is_made_here(manifest: ForeignManifest) -> bool:
    """Whether a manifest has the form of those that are made here: others write a time."""
    types = {manifest.artifact_type, *(layer.media_type for layer in manifest.layers)}
    is_empty = manifest.config is not None and manifest.config.digest == EMPTY.digest
    return (
        is_empty
        and len(manifest.layers) == len(types) == 1
        and _CREATED not in manifest.annotations
    )


class WithBytes(Struct, frozen=True):
    """Blobs that were made here, and, where there are any, those below."""

    data: Mapping[Digest, bytes]
    below: Blobs | None = None

    def size(self, digest: Digest) -> int | None:
        if digest in self.data:
            return len(self.data[digest])
        return self.below.size(digest) if self.below else None

    def open(self, digest: Digest) -> Readable:
        """The blob from its start; raises as the blobs below, `OutputError` without them."""
        if digest in self.data:
            return BytesIO(self.data[digest])
        if self.below is None:
            raise OutputError(f"there is no blob {digest}")
        return self.below.open(digest)
