"""Java archives: what Maven wrote into them, else their manifest, in archives within them too."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import IO

from nix2oci.trust.languages.found import MOST, Found, clean

SUFFIXES = (b".jar", b".war", b".ear", b".par")

_DEEPEST = 4
_MOST_INNER = 32 << 20
"""Bytes of an archive within another one, which is unpacked to memory."""

_BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, RuntimeError)
_TITLES = ("implementation-title", "bundle-symbolicname", "specification-title", "name")
_VERSIONS = ("implementation-version", "bundle-version", "specification-version")
_FILE_NAME = re.compile(r"(.+?)-(\d[^/]*)\.[jwep]ar")


def archive_packages(file: IO[bytes], name: str) -> list[Found]:
    """The artifacts of an archive and of those within it."""
    return sorted(set(_packages(file, name, 0)))


def _packages(file: IO[bytes], name: str, depth: int) -> Iterator[Found]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield from _of_archive(archive, name, depth)
    except _BROKEN:
        return


def _of_archive(archive: zipfile.ZipFile, archive_name: str, depth: int) -> Iterator[Found]:
    manifest, artifacts = "", set[str]()
    for member in archive.infolist():
        name = member.filename
        if name.endswith("/pom.properties") and member.file_size <= MOST:
            for each in _maven(_text(archive, member)):
                artifacts.add(each.name.rpartition(":")[2])
                yield each
        elif name == "META-INF/MANIFEST.MF" and member.file_size <= MOST:
            manifest = _text(archive, member)
        elif _is_inner(member) and depth < _DEEPEST:
            inner = BytesIO(archive.read(member))
            yield from _packages(inner, name.rpartition("/")[2], depth + 1)
    match = _FILE_NAME.fullmatch(archive_name)
    # An archive may have those of others in it, and not its own.
    if not artifacts or (match and match[1] not in artifacts):
        yield from _by_name(match, _fields(manifest))


def _is_inner(member: zipfile.ZipInfo) -> bool:
    return member.filename.encode().endswith(SUFFIXES) and member.file_size <= _MOST_INNER


def _text(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    return archive.read(member).decode("utf-8", "replace")


def _maven(text: str) -> Iterator[Found]:
    pairs = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    group, artifact, version = (
        clean(pairs.get(key)) for key in ("groupId", "artifactId", "version")
    )
    if group and artifact and version:
        yield Found("maven", f"{group}:{artifact}", version)


def _fields(manifest: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in re.sub(r"\r?\n ", "", manifest).splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.lower(), clean(value.partition(";")[0]))
    return fields


def _by_name(match: re.Match[str] | None, fields: Mapping[str, str]) -> Iterator[Found]:
    """By the name of its file, as Maven gives it, else by what its manifest says."""
    title = next((fields[key] for key in _TITLES if fields.get(key)), "")
    version = next((fields[key] for key in _VERSIONS if fields.get(key)), "")
    if match:
        title, version = clean(match[1]), clean(match[2])
    bundle = fields.get("bundle-symbolicname", "").removesuffix(f".{title}")
    group = fields.get("implementation-vendor-id") or (bundle if "." in bundle else "")
    if title and version:
        yield Found("maven", f"{group}:{title}" if group and group != title else title, version)
