"""The heads of ELF files, for any machine."""

from __future__ import annotations

import struct

from support.fakestore import Program


def elf(number: int, kind: int = 2, *, order: str = "<", bits: int = 2) -> bytes:
    """The first bytes of an ELF file, for a machine of the specification."""
    ident = b"\x7fELF" + bytes([bits, 1 if order == "<" else 2, 1]) + bytes(9)
    return ident + struct.pack(f"{order}HH", kind, number) + bytes(8)


def elf_with_interpreter(name: bytes) -> bytes:
    """A 64-bit file whose one program header is PT_INTERP."""
    header = b"\x7fELF\x02\x01\x01".ljust(32, b"\0") + struct.pack("<Q14xHHxx4x", 64, 56, 1)
    return header + struct.pack("<QQ16xQ16x", 3, 120, len(name)) + name


X86_64, AARCH64, I386 = Program(elf(62)), Program(elf(183)), Program(elf(3, bits=1))
