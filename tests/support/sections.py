"""Programs with sections, as compilers write what a program was made of."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping


def elf_with_sections(
    sections: Mapping[bytes, bytes], *, bits: int = 64, order: str = "<"
) -> bytes:
    """An ELF file with a table of sections, those and the one with their names."""
    wide = bits == 64
    names, head_size = b"\0", 64 if wide else 52
    body, headers = b"", [(0, 0, 0)]
    for name, data in sections.items():
        headers.append((len(names), head_size + len(body), len(data)))
        names, body = names + name + b"\0", body + data
    headers.append((0, head_size + len(body), len(names)))
    body += names
    form = f"{order}{'IIQQQQIIQQ' if wide else 'IIIIIIIIII'}"
    table = b"".join(
        struct.pack(form, name, 1, 0, 0, at, size, 0, 0, 0, 0) for name, at, size in headers
    )
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    head = struct.pack(
        f"{order}HHI{'QQQ' if wide else 'III'}IHHHHHH",
        *(2, 62, 1, 0, 0, head_size + len(body), 0, head_size, 0, 0),
        *(struct.calcsize(form), len(headers), len(headers) - 1),
    )
    return ident + head + body + table


def build_information(version: str, modules: str) -> bytes:
    """The section `.go.buildinfo` of Go 1.18 and later."""
    marks = bytes(range(16))
    texts = (version.encode(), marks + modules.encode() + marks if modules else b"")
    head = b"\xff Go buildinf:" + bytes([8, 2]) + bytes(16)
    return head + b"".join(_length(text) + text for text in texts)


def _length(text: bytes) -> bytes:
    number, found = len(text), b""
    while number >= 0x80:
        found, number = found + bytes([number & 0x7F | 0x80]), number >> 7
    return found + bytes([number])


def crates(document: bytes) -> bytes:
    """The section `.dep-v0` of cargo auditable."""
    return zlib.compress(document)
