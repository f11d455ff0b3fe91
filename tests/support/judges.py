"""Judges of bills of materials: what the libraries of CycloneDX and SPDX find wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document


def cyclonedx_findings(data: bytes) -> list[str]:
    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode())
    return [] if found is None else [str(found)]


def spdx_findings(data: bytes, scratch: Path) -> list[str]:
    file = scratch / "judged.spdx.json"
    file.write_bytes(data)
    return [each.validation_message for each in validate_full_spdx_document(parse_file(str(file)))]


def components(data: bytes) -> dict[str, Any]:
    """Those of a CycloneDX document by package URL."""
    return {each["purl"]: each for each in json.loads(data)["components"] if "purl" in each}


def properties(component: Any) -> dict[str, str]:
    return {each["name"]: each["value"] for each in component.get("properties", ())}


def spdx_packages(data: bytes) -> dict[str, Any]:
    """Those of an SPDX document by identifier."""
    return {each["SPDXID"]: each for each in json.loads(data)["packages"]}


def notes(package: Any) -> list[str]:
    return [each["comment"] for each in package.get("annotations", ())]
