"""What is attached to a manifest: its documents, its signature, and attestations of the documents.

Their order is the one in which scanners look: the first bill of materials counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nix2oci.oci.artifact import Artifact
from nix2oci.oci.registry.push_set import TaggedLayer
from nix2oci.oci.registry.signature_tag import signature_tag
from nix2oci.oci.spec import Descriptor, Digest
from nix2oci.trust.bundle import (
    BUNDLE,
    SIMPLE_SIGNATURE,
    SIMPLE_SIGNING,
    Signs,
    bundle_annotations,
    bundle_of,
    simple_signature,
)
from nix2oci.trust.statement import Statement, referrer_bytes, signature_of, statement_of
from nix2oci.trust.trust_document import TrustDocument


def document_artifacts(
    subject: Descriptor, documents: Sequence[TrustDocument]
) -> tuple[Artifact, ...]:
    """Documents as they are, about the manifest that they were made for."""
    return tuple(
        Artifact.about(subject, referrer_bytes(each, subject.digest), each.media_type)
        for each in documents
    )


def signed_artifacts(
    subject: Descriptor, documents: Sequence[TrustDocument], key: Signs
) -> tuple[Artifact, ...]:
    """The signature of a manifest, and documents about it as attestations by the same key."""
    attestations = [statement_of(each, subject.digest) for each in documents]
    return (
        signed_artifact(subject, signature_of(subject.digest), key),
        *(signed_artifact(subject, each, key) for each in attestations),
    )


def signed_artifact(subject: Descriptor, statement: Statement, key: Signs) -> Artifact:
    """A statement about a manifest in a bundle."""
    return Artifact.about(subject, bundle_of(statement, key), BUNDLE, bundle_annotations(statement))


def tagged_signatures(
    repository: str, subjects: Iterable[Digest], key: Signs
) -> tuple[tuple[TaggedLayer, ...], dict[Digest, bytes]]:
    """The signatures of manifests of a repository under tags, and the bytes of their layers."""
    layers, data = [], {}
    for subject in subjects:
        payload, signature = simple_signature(repository, subject, key)
        layer = Descriptor.of(SIMPLE_SIGNING, payload, {SIMPLE_SIGNATURE: signature})
        layers.append(TaggedLayer(signature_tag(subject), layer))
        data[layer.digest] = payload
    return tuple(layers), data
