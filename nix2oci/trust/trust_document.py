"""A document about one image: it lies beside it as a file, or is attached to it as a referrer."""

from __future__ import annotations

from msgspec import Struct

CYCLONEDX = "application/vnd.cyclonedx+json"
SPDX = "application/spdx+json"
CONTENTS = "application/vnd.nix2oci.contents.v1+json"
IN_TOTO = "application/vnd.in-toto+json"


class TrustDocument(Struct, frozen=True):
    """What is said of the image or index that it was made for, as bytes that never differ."""

    kind: str
    """How flags and people call it: `cyclonedx`, `spdx`, `provenance`, `contents`."""
    media_type: str
    """Of its bytes, and the `artifactType` of the referrer that carries it: scanners want both
    to be equal."""
    predicate_type: str
    """What it is as the predicate of an in-toto statement, where it is signed."""
    data: bytes
    """Of an SBOM the document itself, of a provenance the in-toto predicate alone."""
