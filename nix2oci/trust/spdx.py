"""A bill of materials in SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from nix2oci.oci.fields import Json
from nix2oci.oci.spec import canonical_json, rfc3339
from nix2oci.trust.components import (
    BaseComponent,
    Bill,
    LanguagePackage,
    StoreComponent,
    crates_by_program,
)
from nix2oci.trust.cyclonedx import RUST_PROGRAM, URL, base_purl, image_purl, name_uuid, patched

_DOCUMENT, _IMAGE, _BASE = "SPDXRef-DOCUMENT", "SPDXRef-image", "SPDXRef-base"
_UNSAID = "NOASSERTION"
_PLACE = "https://spdx.org/spdxdocs/nix2oci"


def spdx(bill: Bill, *, guess_cpes: bool = False) -> bytes:
    """The document: canonical JSON, a function of the bill alone."""
    document = _document(bill, guess_cpes=guess_cpes)
    unique = name_uuid(hashlib.sha256(canonical_json(document)).hexdigest())
    namespace = f"{_PLACE}/{unique}/{bill.subject.digest}"
    return canonical_json({**document, "documentNamespace": namespace})


def _document(bill: Bill, *, guess_cpes: bool) -> Json:
    when = rfc3339(bill.subject.created)
    packages = [_image(bill, when)]
    packages += [_store_package(each, when, guess=guess_cpes) for each in bill.components]
    packages += [_language_package(each, when) for each in bill.packages]
    packages += [_program(file, when) for file in crates_by_program(bill.packages)]
    if bill.base:
        packages.append(_base(bill.base))
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": f"{bill.subject.name}-{bill.subject.digest.hex[:12]}",
        "creationInfo": {"created": when, "creators": ["Tool: nix2oci"]},
        "documentDescribes": [_IMAGE],
        "packages": packages,
        "relationships": _sorted(_relationships(bill)),
    }


def _image(bill: Bill, when: str) -> Json:
    """The image; its name is its digest, since scanners look for programs by names of packages."""
    subject = bill.subject
    notes = [f"image: {subject.name}"]
    notes += [] if subject.is_written else ["not written: the name is the digest of store paths"]
    notes += [f"{key}: {value}" for key, value in subject.notes]
    notes += [f"dropped: {path}" for path in bill.dropped]
    notes += [f"unknown: {each}" for each in bill.unknown]
    return {
        **_package(_IMAGE, str(subject.digest)),
        "primaryPackagePurpose": "CONTAINER",
        **_references([image_purl(subject)] if subject.is_written else []),
        "annotations": _annotations(notes, when),
    }


def _store_package(component: StoreComponent, when: str, *, guess: bool) -> Json:
    named, facts = component.named, component.facts
    cpe = component.cpe(guess=guess)
    notes = {
        "nix:output_path": component.path,
        "nix:drv_path": component.deriver,
        "nix:nar_hash": component.nar_hash,
        "nix:layer": component.layer,
        "nix:cpe_source": "guess" if cpe and cpe != facts.cpe else "",
        "nix:slim": component.slim,
    }
    texts = [f"{name}: {value}" for name, value in notes.items() if value]
    texts += [f"nix:replaced: {each}" for each in component.replaced]
    texts += [f"nix:patch: {name}" for name, _ in patched(facts)]
    found = _package(_ref(component), named.package, named.version, component.license)
    homepage = {"homepage": facts.homepage} if URL.fullmatch(facts.homepage) else {}
    summary = {"summary": component.description} if component.description else {}
    # Scanners take the first package URL.
    references = _references([component.purl, *component.source_purls], cpe)
    return {**found, **homepage, **summary, **references, "annotations": _annotations(texts, when)}


def _language_package(package: LanguagePackage, when: str) -> Json:
    name = package.name.rpartition(":")[2] if package.kind == "maven" else package.name
    found = _package(_ref(package), name, package.version)
    # Trivy reads the file in this form.
    where = {"annotations": _annotations([f"FilePath: {package.file.lstrip('/')}"], when)}
    return {**found, **where, **_references([package.purl])}


def _program(file: str, when: str) -> Json:
    return {
        **_package(_program_ref(file), file.lstrip("/")),
        "primaryPackagePurpose": "APPLICATION",
        "annotations": _annotations([f"Type: {RUST_PROGRAM}"], when),
    }


def _base(base: BaseComponent) -> Json:
    found = _package(_BASE, base.digest or base.name)
    name = base_purl(base)
    return {
        **found,
        "primaryPackagePurpose": "CONTAINER",
        "comment": f"The base image {base.name}. Of what is in it, only store paths are listed.",
        **_references([name] if name else []),
    }


def _package(ref: str, name: str, version: str = "", license: str = "") -> dict[str, object]:  # noqa: A002
    return {
        "SPDXID": ref,
        "name": name,
        **({"versionInfo": version} if version else {}),
        "downloadLocation": _UNSAID,
        "filesAnalyzed": False,
        "licenseConcluded": _UNSAID,
        "licenseDeclared": license or _UNSAID,
        "copyrightText": _UNSAID,
    }


def _references(purls: Iterable[str], cpe: str = "") -> Json:
    found = [("PACKAGE-MANAGER", "purl", each) for each in purls]
    found += [("SECURITY", "cpe23Type", cpe)] if cpe else []
    return {
        "externalRefs": [
            {"referenceCategory": category, "referenceType": kind, "referenceLocator": text}
            for category, kind, text in found
        ]
    }


def _annotations(texts: Iterable[str], when: str) -> list[Json]:
    return [
        {
            "annotationDate": when,
            "annotationType": "OTHER",
            "annotator": "Tool: nix2oci",
            "comment": text,
        }
        for text in texts
    ]


def _relationships(bill: Bill) -> Iterator[dict[str, str]]:
    refs = {component.path: _ref(component) for component in bill.components}
    yield _related(_DOCUMENT, "DESCRIBES", _IMAGE)
    if bill.base:
        yield _related(_IMAGE, "DESCENDANT_OF", _BASE)
    for package in bill.outside:
        yield _related(_IMAGE, "CONTAINS", _holder(package))
    for component in bill.components:
        own = refs[component.path]
        yield _related(_IMAGE, "CONTAINS", own)
        for other in component.references:
            yield _related(own, "DEPENDS_ON", refs[other])
        for package in component.packages:
            yield _related(own, "CONTAINS", _holder(package))
    for file, crates in crates_by_program(bill.packages).items():
        for each in crates:
            yield _related(_program_ref(file), "CONTAINS", _ref(each))


def _holder(package: LanguagePackage) -> str:
    """What a store path contains: a package, or the program that has it."""
    return _program_ref(package.file) if package.kind == "cargo" else _ref(package)


def _program_ref(file: str) -> str:
    # Trivy knows programs by this beginning.
    return f"SPDXRef-Application-{hashlib.sha256(file.encode()).hexdigest()[:16]}"


def _sorted(relationships: Iterator[dict[str, str]]) -> list[dict[str, str]]:
    distinct = {tuple(each.values()): each for each in relationships}
    return [distinct[key] for key in sorted(distinct)]


def _related(element: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": element, "relationshipType": kind, "relatedSpdxElement": other}


def _ref(of: StoreComponent | LanguagePackage) -> str:
    """A name within the document: letters, digits, dots and dashes."""
    if isinstance(of, StoreComponent):
        return "SPDXRef-" + _plain(of.path.base)
    text = hashlib.sha256(of.ref.encode()).hexdigest()[:16]
    return f"SPDXRef-{_plain(f'{of.kind}-{of.name}')}-{text}"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", text)
