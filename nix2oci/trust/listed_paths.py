"""What documents say is in an image, held against what lies in its layers; pure."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from nix2oci.errors import LayoutError
from nix2oci.oci.fields import Fields, Json
from nix2oci.text import and_more
from nix2oci.trust.contents import Contents

_PATH, _HASH, _REPLACED = "nix:output_path", "nix:nar_hash", "nix:replaced"
_SHOWN = 3


class ListedPaths(Struct, frozen=True):
    """The store paths that a document lists."""

    hashes: Mapping[str, str | None]
    """NAR hash as SRI by store path; empty where a file of it was replaced.

    None where none is said: of such a path only some files need be in the image, and elsewhere.
    """
    subject: str = ""
    """The digest of the image that it says it is about; empty where it says none."""
    is_whole: bool = True
    """Whether all that the image has is listed: a base image may have more."""


class InLayers(Struct, frozen=True):
    """The store paths that lie in the layers of an image."""

    hashes: Mapping[str, frozenset[str]]
    """NAR hashes as SRI by store path, one for each layer that has entries of it in their order.

    None where nothing is known of it but that it is there.
    """


def paths_of_cyclonedx(document: Json) -> ListedPaths:
    """Those of a CycloneDX document of ours; one of others lists none."""
    fields = Fields.of(document)
    components = fields["components"].objects()
    notes = [_properties(each) for each in components]
    subject = fields["metadata"].object()["component"].object()["version"].text() or ""
    has_base = any(each["type"].text() == "container" for each in components)
    return ListedPaths(_hashes(notes), _digest(subject), not has_base)


def paths_of_spdx(document: Json) -> ListedPaths:
    """Those of an SPDX document of ours; one of others lists none."""
    fields = Fields.of(document)
    packages = fields["packages"].objects()
    notes = [_annotations(each) for each in packages]
    described = set(fields["documentDescribes"].texts())
    subject = next((p["name"].text() for p in packages if p["SPDXID"].text() in described), "")
    containers = [p for p in packages if p["primaryPackagePurpose"].text() == "CONTAINER"]
    return ListedPaths(_hashes(notes), _digest(subject or ""), len(containers) < 2)


def paths_of_provenance(predicate: Json) -> ListedPaths:
    """Those among the byproducts of a provenance of ours, which may be of several platforms."""
    fields = Fields.of(predicate)
    details = fields["runDetails"].object()
    made_of = fields["buildDefinition"].object()["resolvedDependencies"].objects()
    has_base = any((each["name"].text() or "").startswith("base image") for each in made_of)
    found: dict[str, str | None] = {}
    for each in details["byproducts"].objects():
        uri, digest = each["uri"].text() or "", each["digest"].object()["narSha256"].text()
        if uri.startswith("nix:/") and digest:
            found[uri.removeprefix("nix:")] = _sri(digest)
    return ListedPaths(found, is_whole=not has_base)


def paths_of_contents(document: Json) -> ListedPaths:
    """Those of a document of contents, which lists what a base image has without a hash."""
    paths = Contents.of(document, "the document").paths
    return ListedPaths({path: each.nar_hash or None for path, each in paths.items()})


def what_differs(listed: ListedPaths, there: InLayers, digest: str, *, exact: bool) -> list[str]:
    """Why a document is not about an image of a digest, in words; nothing where it is.

    `exact` is whether it lists what is in the image, and nothing else.
    """
    found = []
    if listed.subject not in ("", digest):
        found.append(f"it is about {listed.subject}")
    more = sorted(there.hashes.keys() - listed.hashes.keys())
    if more and listed.is_whole:
        found.append(f"not listed: {_names(more)}")
    claimed = {path for path, wanted in listed.hashes.items() if wanted is not None}
    if missing := sorted(claimed - there.hashes.keys()) if exact else []:
        found.append(f"not in the layers: {_names(missing)}")
    other = [
        path
        for path, wanted in sorted(listed.hashes.items())
        if wanted and there.hashes.get(path) and wanted not in there.hashes[path]
    ]
    if other:
        found.append(f"other bytes in the layers: {_names(other)}")
    return found


def _names(paths: Sequence[str]) -> str:
    return and_more([path.rpartition("/")[2] for path in paths], _SHOWN)


def _hashes(notes: Sequence[Mapping[str, list[str]]]) -> dict[str, str | None]:
    """By store path, of components or packages with these notes."""
    found: dict[str, str | None] = {}
    for each in notes:
        for path in each.get(_PATH, [])[:1]:
            hashes = each.get(_HASH)
            found[path] = "" if _REPLACED in each else hashes[0] if hashes else None
    return found


def _properties(component: Fields) -> dict[str, list[str]]:
    pairs = ((each["name"].text(), each["value"].text()) for each in _objects(component))
    return _grouped(pairs)


def _objects(component: Fields) -> tuple[Fields, ...]:
    return component["properties"].objects()


def _annotations(package: Fields) -> dict[str, list[str]]:
    comments = (each["comment"].text() or "" for each in package["annotations"].objects())
    parts = (comment.partition(": ") for comment in comments)
    return _grouped((name, value) for name, _, value in parts)


def _grouped(pairs: Iterator[tuple[str | None, str | None]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        if name and value is not None:
            found.setdefault(name, []).append(value)
    return found


def _digest(text: str) -> str:
    """A digest, where a text is one."""
    return text if text.startswith("sha256:") else ""


def _sri(digest: str) -> str:
    """A SHA-256 in hex, as SRI; `LayoutError` for anything else."""
    try:
        return f"sha256-{base64.b64encode(bytes.fromhex(digest)).decode()}"
    except ValueError as err:
        raise LayoutError("cannot read a provenance: a hash is not in hex") from err
