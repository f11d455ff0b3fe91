"""What is attached to images that were built: their documents, and signatures.

On each platform's manifest are all of the documents; on the index only the provenance, since a
scanner that found a bill of materials there would list images, and no packages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct

from nix2oci.oci.artifact import Artifact, WithBytes
from nix2oci.oci.layout.source import Blobs
from nix2oci.oci.layout.writer import Image
from nix2oci.oci.registry.push_set import NOTHING, PushSet
from nix2oci.oci.registry.repository import Repository
from nix2oci.oci.spec import Descriptor, Digest
from nix2oci.pipeline.build import WrittenImage
from nix2oci.pipeline.platforms import Published
from nix2oci.publish.contents import contents_document
from nix2oci.publish.sbom import SbomFormat, sbom_documents
from nix2oci.trust.artifacts_about import document_artifacts, signed_artifacts, tagged_signatures
from nix2oci.trust.bundle import Signs
from nix2oci.trust.trust_document import TrustDocument

_FORMATS: tuple[SbomFormat, ...] = ("cyclonedx", "spdx")

Documents = Mapping[Digest, Sequence[TrustDocument]]
"""By the manifest or index that they are about, in the order in which scanners look."""


class Attachments(Struct, frozen=True):
    """All that is attached to manifests, whose bytes are not among it."""

    subjects: tuple[Descriptor, ...]
    artifacts: tuple[Artifact, ...]
    key: Signs | None = None
    """What the subjects are signed with where they are pushed to."""

    @property
    def data(self) -> dict[Digest, bytes]:
        """The bytes of all of it."""
        return {digest: data for each in self.artifacts for digest, data in each.blobs.items()}

    def added_to(self, push_set: PushSet, blobs: Blobs, place: Repository) -> tuple[PushSet, Blobs]:
        """What is pushed to a repository, with what is attached to its documents."""
        pushed = [document.descriptor.digest for document in push_set.documents]
        more, data = self.about(pushed, place, push_set)
        return more, WithBytes(data, blobs)

    def about(
        self, subjects: Collection[Digest], place: Repository, to: PushSet = NOTHING
    ) -> tuple[PushSet, dict[Digest, bytes]]:
        """What is attached to some manifests of a repository, and its bytes."""
        artifacts = [each for each in self.artifacts if each.subject.digest in subjects]
        signed = [each.digest for each in self.subjects if each.digest in subjects]
        layers, payloads = tagged_signatures(str(place), signed, self.key) if self.key else ((), {})
        return to.with_more(artifacts, layers), {**self.data, **payloads}


def attachments_of(
    subjects: Sequence[Descriptor], documents: Documents, key: Signs | None
) -> Attachments:
    """Documents about manifests, and where there is a key what it signs."""
    artifacts: list[Artifact] = []
    for subject in subjects:
        about = documents.get(subject.digest, ())
        artifacts += document_artifacts(subject, about)
        if key is not None:
            artifacts += signed_artifacts(subject, about, key)
    return Attachments(tuple(subjects), tuple(artifacts), key)


def subjects_of(made: Published) -> tuple[Descriptor, ...]:
    """The manifests of what was built: each platform's, the indexes, and those of debug twins."""
    twins = (image.twin.image.descriptor for image in made.images if image.twin)
    images = (image.image.descriptor for image in made.images)
    found = (*images, *twins, *(named.descriptor for named in made.named))
    return tuple({each.digest: each for each in found}.values())


def documents_about(
    made: Published,
    kinds: Sequence[str],
    provenance: Callable[[Sequence[WrittenImage]], TrustDocument],
) -> dict[Digest, tuple[TrustDocument, ...]]:
    """The documents of these kinds about what was built.

    `provenance` is asked once, for all platforms: they are of one build. That of a debug twin says
    nothing of its tools, so a twin has only a bill of materials and contents, of its own.
    """
    origin = (provenance(made.images),) if "provenance" in kinds else ()
    found = {
        image.image.descriptor.digest: (
            *_sboms(image, kinds),
            *origin,
            *_contents(image.image),
        )
        for image in made.images
    }
    twins = {
        image.twin.image.descriptor.digest: (
            *_sboms(image, kinds, twin=True),
            *_contents(image.twin.image),
        )
        for image in made.images
        if image.twin
    }
    return {made.main.descriptor.digest: origin, **found, **twins}


def _contents(image: Image) -> tuple[TrustDocument, ...]:
    """The document that a manifest names, which has to be attached wherever the manifest is."""
    return () if image.contents is None else (contents_document(image.contents),)


def _sboms(
    image: WrittenImage, kinds: Sequence[str], *, twin: bool = False
) -> tuple[TrustDocument, ...]:
    formats = [kind for kind in _FORMATS if kind in kinds]
    return sbom_documents(image, formats, twin=twin) if formats else ()
