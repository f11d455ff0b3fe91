"""The launcher as a file: what is in it, that it can be made again, and what it cannot hold."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from support.paths import ROOT
from support.tools import require

from nix2oci.errors import RepresentationError
from nix2oci.launcher.encoder import MACHINES, MAX_OPERATIONS, encode
from nix2oci.pipeline.templates import launcher_template
from nix2oci.wrappers.operations import (
    Append,
    Argv0,
    Chdir,
    Default,
    Launch,
    Op,
    Prefix,
    PrefixWhole,
    Prepend,
    Set,
    Suffix,
    SuffixWhole,
    Unset,
)

SOURCE = ROOT / "nix2oci" / "launcher"
HEADER = struct.Struct("<8sIIII")
EVERYTHING = Launch(
    b"/target",
    (
        Set(b"A", b"1"),
        Default(b"B", b"2"),
        Unset(b"C"),
        Prefix(b"D", b":", b"4"),
        Suffix(b"E", b";", b"5"),
        PrefixWhole(b"F", b"", b"6"),
        SuffixWhole(b"G", b":", b"7"),
        Prepend(b"H", b"8"),
        Append(b"I", b"9"),
        Chdir(b"/x/"),
    ),
    b"name",
    (b"before", b""),
    (b"after",),
)


def data(launch: Launch) -> bytes:
    """What is behind the code of a launcher."""
    template = launcher_template("x86_64")
    return encode(launch, "x86_64", template)[len(template) - HEADER.size :]


def test_the_operations_as_bytes() -> None:
    found = data(EVERYTHING)
    magic, size, entries, before, after = HEADER.unpack_from(found)
    assert (magic, entries, before, after) == (b"N2OCIOP1", 11, 2, 1)
    assert size == len(encode(EVERYTHING, "x86_64", launcher_template("x86_64")))
    assert found[HEADER.size :] == (
        b"SA=1\0DB=2\0UC=\0PD=\0:\x004\0XE=\0;\x005\0pF=\0\x006\0xG=\0:\x007\0pH=\0\x008\0xI=\0\x009\0"
        b"C/x/\0PWD=/x\0\0/target\0Lname\0before\0\0after\0"
    )


@pytest.mark.parametrize(
    ("argv0", "kind"), [(Argv0.TARGET, b"T"), (Argv0.EXECFN, b"E"), (b"", b"L\0")]
)
def test_argv0_as_bytes(argv0: Argv0 | bytes, kind: bytes) -> None:
    assert data(Launch(b"/t", argv0=argv0))[HEADER.size :] == b"\0/t\0" + kind


@pytest.mark.parametrize("machine", MACHINES)
def test_equal_operations_give_equal_launchers(machine: str) -> None:
    template = launcher_template(machine)
    assert encode(EVERYTHING, machine, template) == encode(EVERYTHING, machine, template)
    assert encode(EVERYTHING, machine, template)[: HEADER.size] == template[: HEADER.size]


def test_operations_have_a_limit() -> None:
    template = launcher_template("x86_64")
    bare = len(b"SV=\0\0/t\0T")
    fits: Op = Set(b"V", b"x" * (MAX_OPERATIONS - bare))
    assert len(encode(Launch(b"/t", (fits,)), "x86_64", template)) > MAX_OPERATIONS
    with pytest.raises(RepresentationError) as raised:
        encode(Launch(b"/t", (Set(b"V", b"x" * (MAX_OPERATIONS - bare + 1)),)), "x86_64", template)
    assert str(raised.value) == (
        "cannot make a launcher for /t: its operations take 1048577 bytes, more than 1048576"
    )


def test_there_is_no_launcher_for_other_machines() -> None:
    with pytest.raises(RepresentationError) as raised:
        launcher_template("riscv64")
    assert str(raised.value) == (
        "cannot make a launcher for riscv64: there is one for x86_64 and aarch64"
    )


@pytest.mark.parametrize(
    ("template", "message"),
    [
        pytest.param(b"#!" + bytes(62), "the template is not an ELF file for x86_64", id="no ELF"),
        pytest.param(
            launcher_template("aarch64"), "the template is not an ELF file for x86_64", id="other"
        ),
        pytest.param(
            launcher_template("x86_64") + b"\0",
            "the template for x86_64 has no place for operations at its end",
            id="a template that was added to",
        ),
    ],
)
def test_other_files_are_no_templates(template: bytes, message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole message follows
        encode(EVERYTHING, "x86_64", template)
    assert str(raised.value) == message


# --- judged by binutils -------------------------------------------------------------------------


def readelf(file: bytes, path: Path, *options: str) -> str:
    require("readelf")
    path.write_bytes(file)
    done = subprocess.run(
        ["readelf", "--wide", *options, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.real
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("launch", [None, EVERYTHING], ids=["template", "launcher"])
def test_segments(launch: Launch | None, machine: str, tmp_path: Path) -> None:
    template = launcher_template(machine)
    file = encode(launch, machine, template) if launch else template
    text = readelf(file, tmp_path / "elf", "--segments")
    rows = re.findall(
        r"^ +(\w+) +0x(\w+) 0x(\w+) 0x\w+ 0x(\w+) 0x(\w+) ([RWE ]+?) +0", text, re.MULTILINE
    )
    segments = [(kind, *(int(n, 16) for n in numbers), flags) for kind, *numbers, flags in rows]
    (_, at, address, size, memory, flags), data, stack = segments
    assert (flags, at, size) == ("R E", 0, memory), "code, which nobody can write"
    kind, at, data_address, data_size, memory, flags = data
    assert (kind, flags, data_size) == ("LOAD", "R", memory), "operations, only to be read"
    assert (at, at + data_size) == (size, len(file)), "they follow the code and are the rest"
    assert data_address - at == address + 0x10000, "in pages of their own, of 64 KiB at most"
    assert stack[0] == "GNU_STACK"
    assert stack[-1] == "RW"


@pytest.mark.real
@pytest.mark.parametrize(
    ("machine", "name"), [("x86_64", "Advanced Micro Devices X86-64"), ("aarch64", "AArch64")]
)
def test_it_is_static_and_small(machine: str, name: str, tmp_path: Path) -> None:
    template = launcher_template(machine)
    assert len(template) <= 8192
    head = readelf(template, tmp_path / "elf", "--file-header")
    assert re.search(r"Type: +EXEC ", head)
    assert re.search(rf"Machine: +{name}\n", head)
    assert re.search(r"Number of section headers: +0\n", head)
    assert "no relocations" in readelf(template, tmp_path / "elf", "--relocs")
    assert "no dynamic section" in readelf(template, tmp_path / "elf", "--dynamic")


# --- made again ---------------------------------------------------------------------------------


def hatch_build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# They change with launcher.c and with the compiler's version, and with nothing else: every image
# that has a launcher has these bytes.
DIGESTS = {
    name: digest
    for digest, name in map(str.split, (SOURCE / "launchers.sha256").read_text().splitlines())
}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_build_gives_the_same_bytes_everywhere(machine: str) -> None:
    assert (
        hashlib.sha256(launcher_template(machine)).hexdigest() == (DIGESTS[f"launcher-{machine}"])
    )


@pytest.mark.parametrize("machine", MACHINES)
def test_a_second_build_gives_the_same_bytes(machine: str, tmp_path: Path) -> None:
    assume_remote = tmp_path / "another directory"
    assume_remote.mkdir()
    for name in ("launcher.c", "kernel.h", "launcher.ld"):
        (assume_remote / name).write_bytes((SOURCE / name).read_bytes())
    zig = (sys.executable, "-m", "ziglang")
    assert hatch_build().compile_launcher(assume_remote, machine, zig) == launcher_template(machine)
