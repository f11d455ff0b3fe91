"""How the kernel starts an executable file, read from its first bytes."""

from __future__ import annotations

import struct

from msgspec import Struct

HEAD = 4096
"""Bytes from the start of a file that are enough to tell: linkers put PT_INTERP first."""

_PT_INTERP = 3
_ORDER = {1: "<", 2: ">"}


class Start(Struct, frozen=True):
    """What the kernel starts for a program: an interpreter, or the file itself where it is empty.

    `argument` is what follows the interpreter on the line of `#!`: one word for the kernel.
    """

    interpreter: bytes = b""
    argument: bytes = b""
    is_script: bool = False


def start_of(head: bytes) -> Start | None:
    """How a file with this head is started; None for what the kernel takes for no program."""
    if not head.startswith((b"#!", b"\x7fELF")):
        return None
    found = interpreter(head)
    if found is None:
        return None if head.startswith(b"#!") else Start()
    if not head.startswith(b"#!"):
        return Start(found)
    line = head[2:].partition(b"\n")[0].strip(b" \t\r")
    return Start(found, line[len(found) :].strip(b" \t\r"), is_script=True)


def interpreter(head: bytes) -> bytes | None:
    """What `#!` or the program headers of ELF name (execve(2), elf(5)); None where nothing does."""
    if head.startswith(b"#!"):
        words = head[2:].partition(b"\n")[0].split()
        return words[0] if words else None
    try:
        return _elf_interpreter(head) if head.startswith(b"\x7fELF") else None
    except (struct.error, LookupError, OverflowError):
        return None


def _elf_interpreter(head: bytes) -> bytes | None:
    order, wide = _ORDER[head[5]], head[4] == 2
    (table,) = struct.unpack_from(order + ("Q" if wide else "I"), head, 32 if wide else 28)
    size, count = struct.unpack_from(order + "HH", head, 54 if wide else 42)
    if not size:  # an object that is to be linked has no program headers
        return None
    for start in range(table, table + size * count, size):
        (kind,) = struct.unpack_from(order + "I", head, start)
        if kind == _PT_INTERP:
            word, at = ("Q", start + 8) if wide else ("I", start + 4)
            (offset,) = struct.unpack_from(order + word, head, at)
            (length,) = struct.unpack_from(order + word, head, at + (24 if wide else 12))
            return head[offset : offset + length].rstrip(b"\0") or None
    return None
