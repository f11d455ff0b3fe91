"""Compile the launcher, for each architecture, when the package is built.

`ziglang` brings a compiler for both, so nothing else is needed, and no network. The result is the
same bytes on every machine: the ziglang version is fixed in pyproject.toml, the section table,
which names what the linker made, is cut off, and no path or time gets in.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MACHINES = ("x86_64", "aarch64")
_HERE = Path("nix2oci/launcher")
_FLAGS = (
    "-Os",
    "-std=c11",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-ffreestanding",  # also keeps loops from becoming calls of memcpy
    "-nostdlib",
    "-static",
    "-fno-pie",
    "-fno-stack-protector",
    "-fno-sanitize=all",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fno-ident",
    "-Wl,--build-id=none",
    "-Wl,-z,max-page-size=65536",
)


class LauncherHook(BuildHookInterface[Any]):
    """Puts `launcher-MACHINE` beside its source, for wheels and for editable installs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del version
        source = Path(self.root) / _HERE
        for machine in MACHINES:
            name = f"launcher-{machine}"
            (source / name).write_bytes(compile_launcher(source, machine))
            build_data["artifacts"].append(f"/{_HERE}/{name}")


def compile_launcher(source: Path, machine: str) -> bytes:
    """The launcher without operations, from the directory of its source.

    Raises `CalledProcessError` when it does not compile; the compiler says why on stderr.
    """
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "launcher"
        command = [sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-none"]
        subprocess.run(  # noqa: S603 - the compiler, with arguments as a list
            [*command, *_FLAGS, "-T", "launcher.ld", "launcher.c", "-o", str(output)],
            cwd=source,
            check=True,
            # Its cache would be in the home directory, which a build may not have.
            env=os.environ  # noqa: TID251 - a build has no command line to take it from
            | {"ZIG_GLOBAL_CACHE_DIR": scratch, "ZIG_LOCAL_CACHE_DIR": scratch},
        )
        return without_sections(output.read_bytes())


def without_sections(elf: bytes) -> bytes:
    """A 64-bit little-endian ELF up to the end of its last segment, and no section table."""
    (e_phoff,) = struct.unpack_from("<Q", elf, 32)
    e_phentsize, e_phnum = struct.unpack_from("<HH", elf, 54)
    ends = []
    for number in range(e_phnum):
        at = e_phoff + number * e_phentsize
        p_offset, _, _, p_filesz = struct.unpack_from("<QQQQ", elf, at + 8)
        ends.append(p_offset + p_filesz)
    cut = bytearray(elf[: max(ends)])
    struct.pack_into("<Q", cut, 40, 0)  # e_shoff
    struct.pack_into("<HHH", cut, 58, 64, 0, 0)  # e_shentsize, e_shnum, e_shstrndx
    return bytes(cut)
