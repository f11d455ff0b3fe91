"""What a program asks the dynamic linker for, read from its table of symbols alone.

A program can be large and the table is small, so no more of the file is read than elf(5) says.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Collection, Iterator

_SECTION = struct.Struct("IIQQQQIIQQ")
_SYMBOL = struct.Struct("IBBHQQ")
_DYNSYM = 11
_MAX_TABLE = 1 << 26
"""Bytes of a table that are believed."""


def imported(fd: int, wanted: Collection[bytes]) -> frozenset[bytes]:
    """Those of the wanted names that an ELF file takes from its libraries.

    None for what cannot be read as one: 64-bit files of either byte order, by their section
    headers.
    """
    try:
        return frozenset(_undefined(fd, wanted))
    except struct.error:
        return frozenset()


def _undefined(fd: int, wanted: Collection[bytes]) -> Iterator[bytes]:
    head = os.pread(fd, 64, 0)
    if head[:5] != b"\x7fELF\x02":
        return
    order = "<" if head[5] == 1 else ">"
    (table,) = struct.unpack_from(order + "Q", head, 40)
    size, count = struct.unpack_from(order + "HH", head, 58)
    section = struct.Struct(order + _SECTION.format)
    if size != section.size:
        return
    headers = list(section.iter_unpack(_part(fd, table, size * count)))
    for _, kind, _, _, offset, length, link, *_ in headers:
        if kind == _DYNSYM and link < count:
            names = _part(fd, headers[link][4], headers[link][5])
            if not any(name + b"\0" in names for name in wanted):  # as in most: no symbol is read
                continue
            symbols = struct.Struct(order + _SYMBOL.format)
            for at, _, _, where, _, _ in symbols.iter_unpack(_part(fd, offset, length)):
                name = names[at : names.find(b"\0", at)] if where == 0 and at else b""
                if name in wanted:
                    yield name


def _part(fd: int, offset: int, length: int) -> bytes:
    """A part of the file; `struct.error` for one that is not there as a whole."""
    data = os.pread(fd, length, offset) if length <= _MAX_TABLE and offset < 1 << 62 else b""
    if len(data) != length:
        raise struct.error
    return data
