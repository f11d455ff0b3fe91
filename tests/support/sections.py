"""Programs with sections, as compilers write what a program was made of."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

_PLACE = 0x400000
"""Where the file is in the memory of its process: readers of Go look there."""


def elf_with_sections(
    sections: Mapping[bytes, bytes], *, bits: int = 64, order: str = "<"
) -> bytes:
    """An ELF file with a table of sections, those and the one with their names."""
    wide = bits == 64
    names = b"\0"
    head_size, segment_size = (64, 56) if wide else (52, 32)
    body, headers = bytes(-(head_size + segment_size) % 16), [(0, 0, 0, 0)]
    for name, data in {**sections, b".shstrtab": b""}.items():
        at = head_size + segment_size + len(body)
        headers.append((len(names), 3 if name == b".shstrtab" else 1, at, len(data)))
        names += name + b"\0"
        body += data + bytes(-len(data) % 16)
    headers[-1] = (*headers[-1][:3], len(names))
    body += names
    word = "Q" if wide else "I"
    table = b"".join(
        struct.pack(
            f"{order}II{word * 4}II{word * 2}",
            *(name, kind, 2 if kind == 1 else 0, _PLACE + at if kind == 1 else 0, at, size),
            *(0, 0, 16 if kind == 1 else int(kind > 0), 0),
        )
        for name, kind, at, size in headers
    )
    end = head_size + segment_size + len(body)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    head = struct.pack(
        f"{order}HHI{word * 3}IHHHHHH",
        *(2, 62 if wide else 3, 1, _PLACE, head_size, end, 0, head_size, segment_size, 1),
        *(64 if wide else 40, len(headers), len(headers) - 1),
    )
    whole = end + len(table)
    if wide:
        segment = struct.pack(f"{order}IIQQQQQQ", 1, 6, 0, _PLACE, _PLACE, whole, whole, 4096)
    else:
        segment = struct.pack(f"{order}IIIIIIII", 1, 0, _PLACE, _PLACE, whole, whole, 6, 4096)
    return ident + head + segment + body + table


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
