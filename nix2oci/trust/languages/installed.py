"""What package managers of languages write beside what they install: Python, npm, RubyGems."""

from __future__ import annotations

import json
import re
from typing import IO

from nix2oci.trust.languages.found import Found, clean, whole

_ATTRIBUTE = re.compile(r"""^\s*\w+\.(name|version|licenses?)\s*=\s*(.+)$""", re.MULTILINE)
_QUOTED = re.compile(r"""["']([^"']*)["']""")


def python_metadata(file: IO[bytes], _name: str) -> list[Found]:
    """Core metadata of a distribution (Python Packaging User Guide): headers, then text."""
    fields: dict[str, str] = {}
    for line in whole(file).splitlines():
        if not line.strip():
            break
        name, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            fields.setdefault(name.lower(), value)
    name, version = clean(fields.get("name")), clean(fields.get("version"))
    said = fields.get("license-expression") or fields.get("license")
    return [Found("pypi", name, version, clean(said))] if name and version else []


def npm_package(file: IO[bytes], _name: str) -> list[Found]:
    """A package.json that names itself (npm documentation, package.json)."""
    try:
        document = json.loads(whole(file))
    except (ValueError, RecursionError):
        return []
    if not isinstance(document, dict):
        return []
    name, version = clean(document.get("name")), clean(document.get("version"))
    said = document.get("license")
    said = said.get("type") if isinstance(said, dict) else said
    return [Found("npm", name, version, clean(said))] if name and version else []


def gem_specification(file: IO[bytes], _name: str) -> list[Found]:
    """The specification of an installed gem, which is a Ruby program of assignments."""
    fields: dict[str, str] = {}
    for name, value in _ATTRIBUTE.findall(whole(file)):
        quoted = _QUOTED.findall(value)
        fields.setdefault(name.rstrip("s"), clean(" AND ".join(quoted)))
    name, version = fields.get("name", ""), fields.get("version", "")
    return [Found("gem", name, version, fields.get("license", ""))] if name and version else []
