"""Whether what is attached to an image is right: who signed it, and what it says is in the image.

The hard part is not to take one thing for another. A signature counts only as a statement of its
own type about this manifest; what somebody else's key signed says nothing, but is no harm either;
and a document counts by what it says, whoever attached it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from nix2oci.compare.attached import Attached
from nix2oci.errors import LayoutError
from nix2oci.oci.fields import Json, parse_object
from nix2oci.oci.spec import Digest
from nix2oci.trust.bundle import (
    SIMPLE_SIGNATURE,
    SIMPLE_SIGNING,
    SimpleSigning,
    Verifies,
    is_simple_signature,
)
from nix2oci.trust.known_documents import PREDICATES
from nix2oci.trust.listed_paths import (
    InLayers,
    ListedPaths,
    paths_of_contents,
    paths_of_cyclonedx,
    paths_of_provenance,
    paths_of_spdx,
    what_differs,
)
from nix2oci.trust.statement import Statement
from nix2oci.trust.trust_document import CONTENTS, CYCLONEDX, IN_TOTO, SPDX

Verdict = Literal["verified", "holds", "wrong", "other key", "not judged"]
"""`verified`: signed by the key, and what it says is so. `holds`: what it says is so."""

_READERS: Mapping[str, Callable[[Json], ListedPaths]] = {
    "cyclonedx": paths_of_cyclonedx,
    "spdx": paths_of_spdx,
    "provenance": paths_of_provenance,
    "contents": paths_of_contents,
}


_PLAIN = {CYCLONEDX: "cyclonedx", SPDX: "spdx", CONTENTS: "contents"}
"""Documents that are attached as they are."""


class Judged(Struct, frozen=True):
    """Something that is attached, and what is to be thought of it."""

    attached: Attached
    kind: str
    """`signature`, `cyclonedx`, `spdx`, `provenance`, `contents`, or what type it has."""
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    """Why it is wrong, or is not judged."""


class Verified(Struct, frozen=True):
    """What came of verifying an image."""

    judged: tuple[Judged, ...]
    problems: tuple[str, ...]
    """Why the image as a whole is not right; nothing where it is."""


def verified(
    attached: Sequence[Attached],
    subjects: Sequence[Digest],
    contents: Mapping[Digest, InLayers],
    key: Verifies | None,
    damage: Sequence[str] = (),
) -> Verified:
    """Judge all that is attached to manifests, the first of which is the one that was named.

    `contents` are those of the images among them; without a key no signature is judged. `damage`
    is what is wrong with the image itself.
    """
    judged = tuple(_judged(each, contents, key) for each in attached)
    problems = list(damage)
    if key is not None and not any(_is_signature_of(each, subjects[0]) for each in judged):
        problems.append(f"no signature of {subjects[0]} is by this key")
    problems += [
        f"{each.kind} {each.attached.descriptor.digest}: {'; '.join(each.reasons)}"
        for each in judged
        if each.verdict == "wrong"
    ]
    return Verified(judged, tuple(problems))


def _is_signature_of(each: Judged, subject: Digest) -> bool:
    is_verified = each.verdict == "verified" and each.kind == "signature"
    return is_verified and each.attached.subject == subject


def kind_of(each: Attached) -> str:
    """What something that is attached is called."""
    if each.artifact_type == SIMPLE_SIGNING:
        return "signature"
    if each.is_signed:
        return PREDICATES.get(each.predicate_type, each.predicate_type or each.artifact_type)
    if each.artifact_type == IN_TOTO:
        return PREDICATES.get(_said_type(each), IN_TOTO)
    return _PLAIN.get(each.artifact_type, each.artifact_type)


def _said_type(each: Attached) -> str:
    try:
        return Statement.read(each.data or b"").predicate_type
    except LayoutError:
        return ""


def _judged(each: Attached, contents: Mapping[Digest, InLayers], key: Verifies | None) -> Judged:
    kind = kind_of(each)
    if each.problem:
        return Judged(each, kind, "wrong", (each.problem,))
    if each.is_signed and each.bundle is None and each.artifact_type != SIMPLE_SIGNING:
        return Judged(each, kind, "not judged", ("it has no statement that can be read",))
    try:
        if key is not None and each.is_signed and not _is_by(each, key):
            return _by_another(each, kind, key)
        return _judged_by_content(each, kind, contents, by_key=key is not None and each.is_signed)
    except LayoutError as err:
        return Judged(each, kind, "wrong", (str(err),))


def _by_another(each: Attached, kind: str, key: Verifies) -> Judged:
    """What is not signed by the key; wrong where it says that it is."""
    if each.bundle is not None and each.bundle.hint == key.hint:
        return Judged(each, kind, "wrong", ("its signature is not right",))
    return Judged(each, kind, "other key", ("it is not signed by this key",))


def _judged_by_content(
    each: Attached, kind: str, contents: Mapping[Digest, InLayers], *, by_key: bool
) -> Judged:
    """What something says, where its signature is right, or is not judged."""
    document, subjects = _document(each)
    if subjects is not None and each.subject.hex not in subjects:
        return Judged(each, kind, "wrong", ("it is about another manifest",))
    if kind not in _READERS:
        return Judged(each, kind, "verified" if by_key else "not judged")
    listed, there = _READERS[kind](document), contents.get(each.subject)
    if there is None or not listed.hashes:
        why = "an index has no layers" if there is None else "it names no store paths"
        return Judged(each, kind, "verified" if by_key else "not judged", (why,))
    wrong = what_differs(listed, there, str(each.subject), exact=kind != "provenance")
    if wrong:
        return Judged(each, kind, "wrong", tuple(wrong))
    return Judged(each, kind, "verified" if by_key else "holds")


def _document(each: Attached) -> tuple[Json, tuple[str, ...] | None]:
    """What something says, and of which manifests; None where it does not say of which."""
    if each.bundle is not None:
        statement = each.bundle.statement
        return statement.predicate, statement.subjects
    if each.data is None:
        return {}, None
    if each.artifact_type == IN_TOTO:
        statement = Statement.read(each.data)
        return statement.predicate, statement.subjects
    if each.is_signed:
        digest = SimpleSigning.read(each.data).digest
        return {}, (digest.removeprefix("sha256:"),)
    if each.artifact_type in _PLAIN:
        return parse_object(each.data, "the document"), None
    return {}, None


def _is_by(each: Attached, key: Verifies) -> bool:
    if each.bundle is not None:
        return each.bundle.is_by(key)
    signature = each.blob.annotations.get(SIMPLE_SIGNATURE, "") if each.blob else ""
    return is_simple_signature(each.data or b"", signature, key)
