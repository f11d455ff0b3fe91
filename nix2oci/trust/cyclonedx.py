"""A bill of materials in CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json)."""

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
    PackageFacts,
    StoreComponent,
    Subject,
    crates_by_program,
)
from nix2oci.trust.purl import purl

CVE = re.compile(r"CVE-\d{4}-\d{4,}", re.IGNORECASE)
URL = re.compile(r"https?://[!#-;=?-\[\]_a-z~]+")

RUST_PROGRAM = "rustbinary"
"""What Trivy calls a program with crates."""

_NAMESPACE = bytes.fromhex("6ba7b8119dad11d180b400c04fd430c8")
"""That of URLs (RFC 9562, 6.6)."""


def cyclonedx(bill: Bill, *, guess_cpes: bool = False) -> bytes:
    """The document: canonical JSON, a function of the bill alone."""
    document = _document(bill, guess_cpes=guess_cpes)
    serial = name_uuid(hashlib.sha256(canonical_json(document)).hexdigest())
    return canonical_json({**document, "serialNumber": f"urn:uuid:{serial}"})


def name_uuid(name: str) -> str:
    """A UUID that is made of a name (RFC 9562, version 5)."""
    found = bytearray(hashlib.sha1(_NAMESPACE + name.encode(), usedforsecurity=False).digest()[:16])
    found[6], found[8] = found[6] & 0x0F | 0x50, found[8] & 0x3F | 0x80
    text = found.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def image_purl(subject: Subject) -> str:
    """The package URL of an image that is written: by the digest, not by where it lies."""
    name = subject.name.rpartition("/")[2]
    return purl("oci", name, str(subject.digest), {"arch": subject.platform.architecture})


def base_purl(base: BaseComponent) -> str:
    """That of a base image; empty where its name is not known."""
    path = base.name.partition("@")[0]
    repository, colon, tag = path.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = path, ""
    name = repository.rpartition("/")[2]
    where = repository if "/" in repository else ""
    return purl("oci", name, base.digest, {"repository_url": where, "tag": tag}) if name else ""


def patched(facts: PackageFacts) -> list[tuple[str, list[str]]]:
    """The patches whose names say which vulnerability they are for, with those."""
    found = [(name, sorted({each.upper() for each in CVE.findall(name)})) for name in facts.patches]
    return sorted(each for each in found if each[1])


def _document(bill: Bill, *, guess_cpes: bool) -> Json:
    components = [_store_component(each, guess=guess_cpes) for each in bill.components]
    components += [_language_component(each) for each in bill.packages]
    components += [_program(file) for file in crates_by_program(bill.packages)]
    if bill.base:
        components.append(_base_component(bill.base))
    document: dict[str, object] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": rfc3339(bill.subject.created),
            "tools": {"components": [{"type": "application", "name": "nix2oci"}]},
            "component": _subject(bill),
            "properties": _properties(("nix2oci:unknown", each) for each in bill.unknown),
        },
        "components": components,
        "dependencies": list(_dependencies(bill)),
    }
    if bill.base:
        whole = [{"aggregate": "incomplete", "assemblies": [_base_ref(bill.base)]}]
        document["compositions"] = whole
    return document


def _subject(bill: Bill) -> Json:
    subject = bill.subject
    written = {"version": str(subject.digest), "purl": image_purl(subject)}
    notes = [("nix:store_paths_digest", "" if subject.is_written else str(subject.digest))]
    notes += subject.notes
    notes += [("nix:dropped", str(path)) for path in bill.dropped]
    return {
        "type": "container",
        "bom-ref": _subject_ref(subject),
        "name": subject.name,
        **(written if subject.is_written else {}),
        "properties": _properties(notes),
    }


def _store_component(component: StoreComponent, *, guess: bool) -> Json:
    named, facts = component.named, component.facts
    cpe = component.cpe(guess=guess)
    notes = [
        ("nix:output_path", str(component.path)),
        ("nix:drv_path", component.deriver),
        ("nix:nar_hash", component.nar_hash),
        ("nix:layer", component.layer),
        ("nix:cpe_source", "guess" if cpe and cpe != facts.cpe else ""),
        ("nix:slim", component.slim),
        *(("nix:purl", each) for each in component.source_purls),
        *(("nix:replaced", each) for each in component.replaced),
    ]
    page = [{"type": "website", "url": facts.homepage}] if URL.fullmatch(facts.homepage) else []
    return _present(
        {
            "type": "library",
            "bom-ref": str(component.path),
            "name": named.package,
            "version": named.version,
            "purl": component.purl,
            "cpe": cpe,
            "description": component.description,
            "licenses": [{"expression": component.license}] if component.license else [],
            "externalReferences": page,
            "pedigree": _pedigree(facts),
            "properties": _properties(notes),
        }
    )


def _pedigree(facts: PackageFacts) -> Json:
    patches = [
        {
            "type": "unofficial",
            "resolves": [{"type": "security", "id": each, "name": name} for each in resolved],
        }
        for name, resolved in patched(facts)
    ]
    return {"patches": patches} if patches else {}


def _language_component(package: LanguagePackage) -> Json:
    group, _, name = package.name.rpartition(":" if package.kind == "maven" else "\0")
    # Trivy shows the file, and relative to the root, as it does for what it finds itself.
    where = ("aquasecurity:trivy:FilePath", package.file.lstrip("/"))
    return _present(
        {
            "type": "library",
            "bom-ref": package.ref,
            "group": group,
            "name": name,
            "version": package.version,
            "purl": package.purl,
            "licenses": [{"license": {"name": package.license}}] if package.license else [],
            "properties": _properties([where]),
        }
    )


def _program(file: str) -> Json:
    return {
        "type": "application",
        "bom-ref": _program_ref(file),
        "name": file.lstrip("/"),
        "properties": _properties([("aquasecurity:trivy:Type", RUST_PROGRAM)]),
    }


def _base_component(base: BaseComponent) -> Json:
    return _present(
        {
            "type": "container",
            "bom-ref": _base_ref(base),
            "name": base.name or base.digest,
            "version": base.digest,
            "purl": base_purl(base),
            "description": "The base image. Of what is in it, only store paths are listed.",
        }
    )


def _dependencies(bill: Bill) -> Iterator[Json]:
    base = [_base_ref(bill.base)] if bill.base else []
    outside = _refs(bill.outside)
    yield _depends(_subject_ref(bill.subject), [*map(str, bill.roots), *base, *outside])
    for each in bill.components:
        yield _depends(str(each.path), [*map(str, each.references), *_refs(each.packages)])
    for file, crates in crates_by_program(bill.packages).items():
        yield _depends(_program_ref(file), [each.ref for each in crates])


def _refs(packages: Iterable[LanguagePackage]) -> list[str]:
    """What something depends on that has these packages: crates by way of their programs."""
    programs = crates_by_program(packages)
    return [_program_ref(each.file) if each.file in programs else each.ref for each in packages]


def _program_ref(file: str) -> str:
    return f"program:{file}"


def _depends(ref: str, on: Iterable[str]) -> Json:
    return {"ref": ref, "dependsOn": sorted({*on})}


def _subject_ref(subject: Subject) -> str:
    return image_purl(subject) if subject.is_written else f"image:{subject.digest}"


def _base_ref(base: BaseComponent) -> str:
    return f"base:{base.digest or base.name}"


def _properties(pairs: Iterable[tuple[str, str]]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in pairs if value]


def _present(fields: dict[str, object]) -> Json:
    return {key: value for key, value in fields.items() if value not in ("", [], {})}
