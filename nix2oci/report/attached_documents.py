"""What is attached to an image and what is to be thought of it: JSON, and lines for people."""

from __future__ import annotations

from collections.abc import Sequence

from nix2oci import text
from nix2oci.compare.attached import Attached
from nix2oci.compare.verified import Judged, Verified, kind_of
from nix2oci.oci.spec import Descriptor
from nix2oci.report.terminal.styled import Span, Style, Table

_STYLES: dict[str, Style] = {"verified": "green", "holds": "green", "wrong": "red"}


def listed_document(found: Sequence[Attached]) -> list[dict[str, object]]:
    """What is attached to an image, in the order of its lists."""
    return [_document(each, kind_of(each)) for each in found]


def verified_document(found: Verified, top: Descriptor) -> dict[str, object]:
    """What `verify --json` prints."""
    return {
        "digest": str(top.digest),
        "verified": not found.problems,
        "problems": list(found.problems),
        "attached": [
            {
                **_document(each.attached, each.kind),
                "verdict": each.verdict,
                "reasons": list(each.reasons),
            }
            for each in found.judged
        ],
    }


def _document(each: Attached, kind: str) -> dict[str, object]:
    return {
        "kind": kind,
        "subject": str(each.subject),
        "digest": str(each.descriptor.digest),
        "artifact_type": each.artifact_type,
        "predicate_type": each.predicate_type or None,
        "size": each.size,
        "signed": each.is_signed,
        "signer": signer(each) or None,
    }


def signer(each: Attached) -> str:
    """Who is said to have signed it: the hash of a key, or that a certificate says it."""
    if each.bundle is None:
        return "a key" if each.is_signed else ""
    if each.bundle.certificate:
        from nix2oci.trust.signing_keys import certificate_name  # noqa: PLC0415  # few images have one

        return certificate_name(each.bundle.certificate) or "a certificate"
    return f"key {each.bundle.hint}" if each.bundle.hint else "a key"


def listed_table(found: Sequence[Attached], top: Descriptor) -> list[Table]:
    """What is attached, in a row each; nothing where there is none."""
    rows = [
        (_name(each, kind_of(each)), text.size(each.size), _to(each, top), signer(each) or "-")
        for each in found
    ]
    return [Table(("attached", "size", "to", "signed by"), rows)] if rows else []


def judged_table(judged: Sequence[Judged], top: Descriptor) -> list[Table]:
    """What is attached, and what is to be thought of it."""
    rows = [
        (
            _name(each.attached, each.kind),
            _to(each.attached, top),
            Span(each.verdict, _STYLES.get(each.verdict, "")),
            "; ".join(each.reasons) or "-",
        )
        for each in judged
    ]
    return [Table(("attached", "to", "verdict", "because"), rows)] if rows else []


def _name(each: Attached, kind: str) -> str:
    is_attestation = each.is_signed and kind != "signature"
    return f"attestation of {kind}" if is_attestation else kind


def _to(each: Attached, top: Descriptor) -> str:
    return "the image" if each.subject == top.digest else each.subject.text[:19]
