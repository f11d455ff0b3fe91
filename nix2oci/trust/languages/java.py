"""Java archives: what Maven wrote into them, else their manifest, in archives within them too."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import IO

from nix2oci.trust.languages.found import MOST, Found, clean

SUFFIXES = (b".jar", b".war", b".ear", b".par")

_DEEPEST = 4
_MOST_INNER = 64 << 20
"""Bytes of an archive within another one, which is unpacked to memory."""

_BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, RuntimeError)
_TITLES = ("bundle-symbolicname", "implementation-title", "specification-title", "name")
_VERSIONS = ("implementation-version", "bundle-version", "specification-version")
_FILE_NAME = re.compile(r"(.+?)-(\d[^/]*)\.[jwep]ar$")


def archive_packages(file: IO[bytes]) -> list[Found]:
    """The artifacts of an archive and of those within it."""
    return sorted(set(_packages(file, 0)))


def _packages(file: IO[bytes], depth: int) -> Iterator[Found]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield from _of_archive(archive, depth)
    except _BROKEN:
        return


def _of_archive(archive: zipfile.ZipFile, depth: int) -> Iterator[Found]:
    manifest, found = "", False
    for member in archive.infolist():
        name = member.filename
        if name.endswith("/pom.properties") and member.file_size <= MOST:
            for each in _maven(archive.read(member).decode("utf-8", "replace")):
                found = True
                yield each
        elif name == "META-INF/MANIFEST.MF" and member.file_size <= MOST:
            manifest = archive.read(member).decode("utf-8", "replace")
        elif (
            name.encode().endswith(SUFFIXES)
            and member.file_size <= _MOST_INNER
            and depth < _DEEPEST
        ):
            yield from _packages(BytesIO(archive.read(member)), depth + 1)
    if not found:
        yield from _of_manifest(manifest)


def _maven(text: str) -> Iterator[Found]:
    pairs = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    group, artifact, version = (
        clean(pairs.get(key)) for key in ("groupId", "artifactId", "version")
    )
    if group and artifact and version:
        yield Found("maven", f"{group}:{artifact}", version)


def _of_manifest(text: str) -> Iterator[Found]:
    fields: dict[str, str] = {}
    for line in re.sub(r"\r?\n ", "", text).splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.lower(), value.partition(";")[0])
    title = next((t for key in _TITLES if (t := clean(fields.get(key)))), "")
    version = next((v for key in _VERSIONS if (v := clean(fields.get(key)))), "")
    group = clean(fields.get("implementation-vendor-id"))
    if title and version:
        yield Found("maven", f"{group}:{title}" if group else title, version)
