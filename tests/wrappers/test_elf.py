"""What is read of an ELF file, and what cannot be."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nix2oci.wrappers.elf import Elf, read_elf

_SECTIONS = (b".shstrtab", b".rodata", b".dynsym", b".dynstr", b".bss")


def elf(
    rodata: bytes = b"text\0",
    imports: tuple[bytes, ...] = (b"execv",),
    names: tuple[bytes, ...] = _SECTIONS,
) -> bytes:
    """Headers, sections and their table, in the layout of the ELF specification."""
    strings = b"\0" + b"".join(name + b"\0" for name in (*imports, b"main"))
    symbols = b"".join(
        struct.pack("<IBBHQQ", strings.index(name + b"\0"), 0, 0, section, 0, 0)
        for name, section in (*((name, 0) for name in imports), (b"main", 1))
    )
    table = b"".join(name + b"\0" for name in names)
    contents = (table, rodata, struct.pack("<IBBHQQ", 0, 0, 0, 0, 0, 0) + symbols, strings, b"")
    body, headers = b"", b""
    for name, content in zip(names, contents, strict=True):
        kind = 8 if name == b".bss" else 1
        size = 1 << 40 if kind == 8 else len(content)
        at = 64 + len(body)
        headers += struct.pack("<IIQQQQIIQQ", table.index(name), kind, 0, 0, at, size, 0, 0, 0, 0)
        body += content
    # e_shoff, e_flags, e_ehsize, e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
    head = struct.pack("<QIHHHHHH", 64 + len(body), 0, 64, 0, 0, 64, len(names), 0)
    return b"\x7fELF\x02\x01".ljust(40, b"\0") + head + body + headers


def test_rodata_and_imports() -> None:
    found = read_elf(elf(b"some\0text\0", (b"execv", b"putenv")))
    assert found == Elf(b"some\0text\0", frozenset((b"execv", b"putenv")))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x7fELF\x02\x01", id="no more than the magic number"),
        pytest.param(b"\x7fELF\x01\x01" + elf()[6:], id="32 bits"),
        pytest.param(b"\x7fELF\x02\x02" + elf()[6:], id="the other byte order"),
        pytest.param(elf()[:-1], id="cut off"),
        pytest.param(elf()[:58] + b"\x40\0\0\0\0\0" + elf()[64:], id="no section headers"),
        pytest.param(elf()[:58] + b"\x41\0" + elf()[60:], id="section headers of another size"),
        pytest.param(
            elf(names=(b".shstrtab", b".rodata", b".dynstr", b".x", b".bss")), id="no imports"
        ),
    ],
)
def test_what_cannot_be_read(data: bytes) -> None:
    assert read_elf(data) is None


@given(st.binary(max_size=80), st.integers(0, 500))
@example(b"\xff" * 8, 40)
def test_never_raises(noise: bytes, at: int) -> None:
    data = elf()
    changed = b"\x7fELF\x02\x01" + (data[:at] + noise + data[at + len(noise) :])[6:]
    found = read_elf(changed)
    assert found is None or isinstance(found, Elf)


def test_a_real_program() -> None:
    found = read_elf(Path("/bin/true").read_bytes())
    assert found is not None
    assert any(name.startswith(b"__libc_start_main") for name in found.imports)
