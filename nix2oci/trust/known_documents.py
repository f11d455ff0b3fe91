"""Documents that others wrote, told by what they say."""

from __future__ import annotations

from collections.abc import Mapping

from nix2oci.errors import LayoutError
from nix2oci.oci.fields import Fields, parse_object
from nix2oci.oci.spec import canonical_json
from nix2oci.trust.contents import PREDICATE as CONTENTS_PREDICATE
from nix2oci.trust.statement import SIGNATURE, Statement
from nix2oci.trust.trust_document import CYCLONEDX, IN_TOTO, SPDX, TrustDocument

_BOM, _SPDX_DOCUMENT = "https://cyclonedx.org/bom", "https://spdx.dev/Document"
_SLSA = "https://slsa.dev/provenance/v1"

PREDICATES: Mapping[str, str] = {
    SIGNATURE: "signature",
    _BOM: "cyclonedx",
    _SPDX_DOCUMENT: "spdx",
    _SLSA: "provenance",
    CONTENTS_PREDICATE: "contents",
}
"""What predicate types are called."""


def read_document(data: bytes, where: str) -> tuple[TrustDocument, tuple[str, ...]]:
    """A document, and the SHA-256 in hex of each manifest that it says it is about.

    Raises `LayoutError` for bytes that are no JSON object of a kind that is known.
    """
    document = parse_object(data, where)
    fields = Fields.of(document)
    if fields["bomFormat"].text() == "CycloneDX":
        return TrustDocument("cyclonedx", CYCLONEDX, _BOM, data), ()
    if (fields["spdxVersion"].text() or "").startswith("SPDX-2."):
        return TrustDocument("spdx", SPDX, _SPDX_DOCUMENT, data), ()
    if "_type" in fields and "predicateType" in fields:
        said = Statement.read(data)
        kind = PREDICATES.get(said.predicate_type, said.predicate_type)
        predicate = canonical_json(said.predicate)
        return TrustDocument(kind, IN_TOTO, said.predicate_type, predicate), said.subjects
    if {"buildDefinition", "runDetails"} <= document.keys():
        return TrustDocument("provenance", IN_TOTO, _SLSA, data), ()
    raise LayoutError(
        f"cannot read {where}: it is no document that is known",
        hint="there are CycloneDX and SPDX 2 as JSON, SLSA provenance, and in-toto statements",
    )
