"""What a signature is over: an in-toto statement about one manifest, in a DSSE envelope.

Sources: in-toto attestation framework v1 (Statement), DSSE v1 (protocol.md), and cosign's
`specs/BUNDLE_SPEC.md` for the predicate type of a signature.
"""

from __future__ import annotations

from typing import Self

from msgspec import Struct

from nix2oci.errors import LayoutError
from nix2oci.oci.fields import Fields, Json, parse_object
from nix2oci.oci.spec import Digest, canonical_json
from nix2oci.trust.trust_document import IN_TOTO, TrustDocument

STATEMENT = "https://in-toto.io/Statement/v1"
_STATEMENTS = frozenset({STATEMENT, "https://in-toto.io/Statement/v0.1"})
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
"""The predicate type of a statement that says no more than: this image is ours."""


class Statement(Struct, frozen=True):
    """Something that is said of manifests, which are named by their digests."""

    subjects: tuple[str, ...]
    """The SHA-256 of each, in hex."""
    predicate_type: str
    predicate: Json

    @classmethod
    def about(cls, subject: Digest, predicate_type: str, predicate: Json) -> Self:
        return cls((subject.hex,), predicate_type, predicate)

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Raises `LayoutError` for bytes that are no statement."""
        fields = Fields.of(parse_object(data, "an attestation"))
        if fields["_type"].text() not in _STATEMENTS:
            raise LayoutError("cannot read an attestation: it is no in-toto statement")
        subjects = (
            each["digest"].object()["sha256"].text() for each in fields["subject"].objects()
        )
        kind, predicate = fields["predicateType"].text(), fields["predicate"].object()
        fields.check("cannot read an attestation")
        return cls(tuple(filter(None, subjects)), kind or "", predicate.values)

    def to_bytes(self) -> bytes:
        """Its one form in bytes."""
        return canonical_json(
            {
                "_type": STATEMENT,
                "subject": [{"digest": {"sha256": subject}} for subject in self.subjects],
                "predicateType": self.predicate_type,
                "predicate": self.predicate,
            }
        )


def signature_of(subject: Digest) -> Statement:
    """What is signed for the image or index itself."""
    return Statement.about(subject, SIGNATURE, {})


def statement_of(document: TrustDocument, subject: Digest) -> Statement:
    """A document as what is said of a manifest; `LayoutError` for one that is no JSON object."""
    predicate = parse_object(document.data, f"the {document.kind} document")
    return Statement.about(subject, document.predicate_type, predicate)


def referrer_bytes(document: TrustDocument, subject: Digest) -> bytes:
    """The bytes of the referrer that carries a document without a signature.

    An SBOM is found as it is; a provenance is a statement, which names what it is about.
    """
    is_statement = document.media_type == IN_TOTO
    return statement_of(document, subject).to_bytes() if is_statement else document.data


def to_be_signed(payload: bytes, payload_type: str = IN_TOTO) -> bytes:
    """The bytes that a signature of an envelope is over (DSSE, PAE)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
