"""As much of ELF as is needed to look into a wrapper binary: its read-only data and imports.

Reads 64-bit little-endian files by their section headers, as elf(5) has them, and never raises:
what is not there or does not fit into the file is None.
"""

from __future__ import annotations

import struct

from msgspec import Struct

_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")


class Elf(Struct, frozen=True):
    """The section `.rodata`, and the names that the dynamic linker has to find elsewhere."""

    rodata: bytes
    imports: frozenset[bytes]


def read_elf(data: bytes) -> Elf | None:
    """None for what is not 64-bit little-endian, or lacks one of the sections."""
    if not data.startswith(b"\x7fELF\x02\x01"):
        return None
    try:
        sections = _sections(data)
    except (struct.error, OverflowError):  # the latter for an offset that no file has
        return None
    rodata, symbols, names = (sections.get(n) for n in (b".rodata", b".dynsym", b".dynstr"))
    if rodata is None or symbols is None or names is None or len(symbols) % _SYMBOL.size:
        return None
    undefined = {
        _text(names, name)
        for name, _, _, section, _, _ in _SYMBOL.iter_unpack(symbols)
        if section == 0 and name
    }
    return Elf(rodata, frozenset(undefined))


def _sections(data: bytes) -> dict[bytes, bytes]:
    """The sections by name; of two with one name the first counts."""
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count, names_at = struct.unpack_from("<HHH", data, 58)
    if size != _SECTION.size or names_at >= count:
        return {}
    headers = [_SECTION.unpack_from(data, table + at * size) for at in range(count)]
    names = _content(data, headers[names_at])
    found: dict[bytes, bytes] = {}
    for header in headers:
        found.setdefault(_text(names, header[0]), _content(data, header))
    return found


def _content(data: bytes, header: tuple[int, ...]) -> bytes:
    kind, offset, size = header[1], header[4], header[5]
    return b"" if kind == 8 else data[offset : offset + size]  # SHT_NOBITS has no bytes


def _text(names: bytes, at: int) -> bytes:
    return names[at:].partition(b"\0")[0]
