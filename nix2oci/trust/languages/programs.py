"""What compilers write into programs: the modules of Go, and the crates of cargo auditable."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator
from typing import IO

from nix2oci.trust.languages.found import MOST, Found, clean

_GO_MAGIC = b"\xff Go buildinf:"
_GO_INLINE = 2
"""The flag of Go 1.18 and later: the texts follow the header (debug/buildinfo)."""

_SECTIONS = frozenset({b".go.buildinfo", b".dep-v0"})
_MOST_SECTIONS = 1 << 12
_LDFLAGS_VERSION = re.compile(r"""(?i)-X[ =]['"]?[^\s=]*?\.?(?:version|ver)=v?([^\s'"]+)""")


def program_packages(file: IO[bytes], _name: str) -> list[Found]:
    """What an ELF program was made of, as far as its compiler wrote it down."""
    found: list[Found] = []
    for name, data in _sections(file):
        found += go_modules(data) if name == b".go.buildinfo" else cargo_crates(data)
    return found


# --- sections ----------------------------------------------------------------------------------


def _sections(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The wanted sections of a 64-bit or 32-bit ELF file, as elf(5) has them."""
    head = file.read(64)
    if not head.startswith(b"\x7fELF") or len(head) < 64 or head[5] not in (1, 2):
        return
    order, wide = "<>"[head[5] - 1], head[4] == 2
    (table,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", head, 40 if wide else 32)
    size, count, names_at = struct.unpack_from(f"{order}HHH", head, 58 if wide else 46)
    form = struct.Struct(f"{order}{'IIQQQQ' if wide else 'IIIIII'}")
    if size < form.size or not names_at < count <= _MOST_SECTIONS or size * count > MOST:
        return
    data = _at(file, table, size * count)
    if len(data) < size * count:
        return
    headers = [form.unpack_from(data, size * number) for number in range(count)]
    _, _, _, _, place, length = headers[names_at]
    names = _at(file, place, min(length, MOST))
    for name, _, _, _, place, length in headers:
        text = names[name : name + 32].partition(b"\0")[0]
        if text in _SECTIONS and length <= MOST:
            yield text, _at(file, place, length)


def _at(file: IO[bytes], place: int, length: int) -> bytes:
    if place >= 1 << 62:
        return b""
    file.seek(place)
    return file.read(length)


# --- Go ----------------------------------------------------------------------------------------


def go_modules(data: bytes) -> list[Found]:
    """The standard library and modules, of the section that holds build information.

    Of programs of Go before 1.18, where texts are elsewhere, nothing.
    """
    if not data.startswith(_GO_MAGIC) or len(data) < 32 or not data[15] & _GO_INLINE:
        return []
    version, rest = _text(data[32:])
    modules, _ = _text(rest)
    if len(modules) > 33 and modules[-17:-16] == b"\n":
        modules = modules[16:-16]  # marks by which a debugger finds them
    words = version.decode("utf-8", "replace").split()
    found = [Found("golang", "stdlib", clean(words[0]))] if words else []
    return found + _listed(modules.decode("utf-8", "replace"))


def _text(data: bytes) -> tuple[bytes, bytes]:
    """A text behind its length, a varint, and what follows."""
    length = shift = 0
    for at, byte in enumerate(data[:10]):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            end = at + 1 + length
            return data[at + 1 : end], data[end:]
    return b"", b""


def _listed(modules: str) -> list[Found]:
    """Lines of words that tabs divide; `=>` is what takes the place of the module before it."""
    lines = [line.split("\t") for line in modules.splitlines()]
    built = ("\t".join(words) for kind, *words in lines if kind == "build")
    flags = next((each for each in built if each.startswith("-ldflags=")), "")
    found: list[Found] = []
    for kind, *words in lines:
        if kind not in ("mod", "dep", "=>") or not words or not words[0]:
            continue
        name, version = clean(words[0]), clean(words[1]) if len(words) > 1 else ""
        if kind == "mod":
            version = _main_version(version, flags)
        if kind == "=>" and found:
            found.pop()
        found.append(Found("golang", name, version))
    return found


def _main_version(version: str, flags: str) -> str:
    """Of the program itself; where it is built from a directory, what the linker was told."""
    if version and version != "(devel)":
        return version
    match = _LDFLAGS_VERSION.search(flags)
    return clean(match[1]) if match else ""


# --- Rust --------------------------------------------------------------------------------------


def cargo_crates(data: bytes) -> list[Found]:
    """The crates of a program, of the section of cargo auditable; those of its build left out."""
    try:
        text = zlib.decompressobj().decompress(data, MOST)
        document = json.loads(text)
    except (zlib.error, ValueError, RecursionError):
        return []
    crates = document.get("packages") if isinstance(document, dict) else None
    return [
        Found("cargo", name, version)
        for crate in (crates if isinstance(crates, list) else ())
        if isinstance(crate, dict) and crate.get("kind", "runtime") == "runtime"
        if (name := clean(crate.get("name"))) and (version := clean(crate.get("version")))
    ]
