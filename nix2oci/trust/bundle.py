"""Signatures as they are stored: the Sigstore bundle v0.3, and cosign's older simple signing.

Both are made of what is signed and the key alone, so that signing twice gives the same bytes.
Sources: cosign `specs/BUNDLE_SPEC.md` and `specs/SIGNATURE_SPEC.md`.
"""

from __future__ import annotations

import base64
from typing import Protocol, Self

from msgspec import Struct

from nix2oci.errors import LayoutError
from nix2oci.oci.fields import Fields, parse_object
from nix2oci.oci.spec import Digest, canonical_json
from nix2oci.trust.statement import Statement, to_be_signed
from nix2oci.trust.trust_document import IN_TOTO

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
BUNDLE_FAMILY = "application/vnd.dev.sigstore.bundle"
"""How the media types of all versions begin."""
CONTENT = "dev.sigstore.bundle.content"
PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"
"""Annotations of the referrer that carries a bundle."""

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIMPLE_SIGNATURE = "dev.cosignproject.cosign/signature"
"""Annotation of the layer that is a simple signing payload: its signature, in base64."""
_SIMPLE_TYPE = "cosign container image signature"


class Signs(Protocol):
    """A key that signs, as `trust.signing_keys.SigningKey`."""

    def sign(self, data: bytes) -> bytes: ...

    @property
    def hint(self) -> str: ...


class Verifies(Protocol):
    """A key that verifies, as `trust.signing_keys.PublicKey`."""

    hint: str

    def verifies(self, signature: bytes, data: bytes) -> bool: ...


def bundle_of(statement: Statement, key: Signs) -> bytes:
    """A signed statement, as a bundle that needs no transparency log."""
    payload = statement.to_bytes()
    return canonical_json(
        {
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": key.hint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": IN_TOTO,
                "signatures": [{"sig": base64.b64encode(key.sign(to_be_signed(payload))).decode()}],
            },
        }
    )


def bundle_annotations(statement: Statement) -> dict[str, str]:
    """What the referrer that carries the bundle of a statement says of it."""
    return {CONTENT: "dsse-envelope", PREDICATE_TYPE: statement.predicate_type}


class Bundle(Struct, frozen=True):
    """A bundle that was read; nothing of it is believed before it `is_by` a key."""

    payload: bytes
    """What is signed; `statement` reads it."""
    hint: str
    """Of the key that is said to have made it; empty where a certificate has the key."""
    certificate: bytes
    """DER of the certificate that has the key; empty without one."""
    signatures: tuple[bytes, ...]

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Raises `LayoutError` for bytes that are no bundle of a statement, whatever that says."""
        fields = Fields.of(parse_object(data, "a bundle"))
        material, envelope = (
            fields["verificationMaterial"].object(),
            fields["dsseEnvelope"].object(),
        )
        hint = material["publicKey"].object()["hint"].text() or ""
        raw = material["certificate"].object()["rawBytes"].text()
        chain = material["x509CertificateChain"].object()["certificates"].objects()
        raw = raw or next((each["rawBytes"].text() for each in chain), None)
        payload, kind = envelope["payload"].text(), envelope["payloadType"].text()
        signatures = [each["sig"].text() or "" for each in envelope["signatures"].objects()]
        fields.check("cannot read a bundle")
        if payload is None or kind != IN_TOTO:
            raise LayoutError("cannot read a bundle: it has no in-toto statement")
        decoded = _decoded(payload)
        return cls(
            decoded,
            hint,
            _decoded(raw or ""),
            tuple(map(_decoded, signatures)),
        )

    @property
    def statement(self) -> Statement:
        """What is said; `LayoutError` where that is no statement."""
        return Statement.read(self.payload)

    def is_by(self, key: Verifies) -> bool:
        """Whether one of the signatures is right, and by this key."""
        signed = to_be_signed(self.payload)
        return any(key.verifies(each, signed) for each in self.signatures)


class SimpleSigning(Struct, frozen=True):
    """The older form: a payload that names a repository and a manifest there."""

    repository: str
    digest: str
    """Of the manifest."""

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Raises `LayoutError` for bytes that are no such payload."""
        fields = Fields.of(parse_object(data, "a signature"))
        critical = fields["critical"].object()
        name = critical["identity"].object()["docker-reference"].text()
        digest = critical["image"].object()["docker-manifest-digest"].text()
        fields.check("cannot read a signature")
        if critical["type"].text() not in (_SIMPLE_TYPE, "atomic container signature"):
            raise LayoutError("cannot read a signature: it is none of an image")
        return cls(name or "", digest or "")

    def to_bytes(self) -> bytes:
        """The bytes that are signed."""
        return canonical_json(
            {
                "critical": {
                    "identity": {"docker-reference": self.repository},
                    "image": {"docker-manifest-digest": self.digest},
                    "type": _SIMPLE_TYPE,
                },
                "optional": None,
            }
        )


def simple_signature(repository: str, digest: Digest, key: Signs) -> tuple[bytes, str]:
    """The payload for a manifest of a repository, and its signature in base64."""
    payload = SimpleSigning(repository, str(digest)).to_bytes()
    return payload, base64.b64encode(key.sign(payload)).decode()


def is_simple_signature(payload: bytes, signature: str, key: Verifies) -> bool:
    """Whether the signature of a payload is right, and by this key."""
    try:
        return key.verifies(_decoded(signature), payload)
    except LayoutError:
        return False


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as err:
        raise LayoutError("cannot read a signature: it is not in base64") from err
