"""Whether the programs of an image are for the machine that the image says it is for.

A derivation says for which system it is, and nothing makes its files be that: a package that
copies what was made elsewhere has what was copied. The head of an ELF file tells.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from nix2oci.errors import RepresentationError
from nix2oci.model.closure import Closure
from nix2oci.nix.fact_cache import as_bytes, as_text
from nix2oci.nix.store_files import StoreFiles, unreadable
from nix2oci.text import display

_EHDR = 20
_HEAD = 256
"""Bytes of a file that are read: no less than what the kernel reads of a script's first line."""
_MAX_INTERPRETERS = 5
_INTERPRETER = re.compile(rb"#![ \t]*(/[^ \t\n]+)[ \t\n]")
_DIRECTORIES = (b"bin", b"sbin")

# e_machine of the ELF specification, by what Nix calls the processor. A 64-bit x86 kernel starts
# 32-bit programs as well.
_FIT: Mapping[str, frozenset[int]] = {
    "x86_64": frozenset({62, 3}),
    "aarch64": frozenset({183}),
    "i686": frozenset({3}),
    "armv7l": frozenset({40}),
    "armv6l": frozenset({40}),
    "riscv64": frozenset({243}),
    "powerpc64le": frozenset({21}),
    "s390x": frozenset({22}),
    "loongarch64": frozenset({258}),
}
_NAMES: Mapping[int, str] = {
    62: "x86_64",
    183: "aarch64",
    3: "i386",
    40: "arm",
    243: "riscv64",
    21: "powerpc64",
    22: "s390x",
    258: "loongarch64",
}


def machine(head: bytes) -> int | None:
    """`e_machine` of an executable or shared object, None for what is neither.

    `head` has the first 20 bytes of the file or more (elf(5), Ehdr).
    """
    if head[:4] != b"\x7fELF" or len(head) < _EHDR or head[5] not in (1, 2):
        return None
    kind, found = struct.unpack_from("<HH" if head[5] == 1 else ">HH", head, 16)
    return int(found) if kind in (2, 3) else None  # ET_EXEC and ET_DYN


def check_machines(
    files: StoreFiles,
    closure: Closure,
    started: Iterable[bytes],
    system: str,
    platform: str,
    *,
    remedy: Callable[[str], str | None] = lambda _: None,
) -> None:
    """Raise `RepresentationError` for a program that is not for the processor of `system`.

    Looked at are all executable files in bin/ and sbin/ of the roots, hidden ones (a wrapper's
    `.app-wrapped`) among them, the absolute paths in `started`, and the interpreters of those
    that are scripts; links are followed, and what is not in the closure or neither ELF file nor
    script does not count. Raises `StoreError` for what is unreadable. `remedy` may know for the
    name of another processor how to build for that.
    """
    fitting = _FIT.get(system.partition("-")[0])
    if fitting is None:
        return
    try:
        for program in sorted({*_programs(files, closure), *started}):
            path, found = _machine_at(files, program)
            if found is not None and found not in fitting:
                name = _NAMES.get(found, f"machine {found}")
                raise RepresentationError(
                    f"cannot make an image for {platform}: {display(path)} is for {name}",
                    hint=remedy(name)
                    or "name the platform that it was built for with --platform, "
                    f"or build it for {platform}",
                )
    except OSError as err:
        raise unreadable(err) from err


def _programs(files: StoreFiles, closure: Closure) -> Iterator[bytes]:
    for root in closure.roots:
        for name in _DIRECTORIES:
            directory = files.real_directory(str(root).encode() + b"/" + name)
            for program in files.names(directory) if directory else ():
                yield (directory or b"") + b"/" + program


def _machine_at(files: StoreFiles, path: bytes) -> tuple[bytes, int | None]:
    """The file that the kernel starts for a path, and the machine that it is for."""
    for _ in range(_MAX_INTERPRETERS):
        head = _head(files, path)
        interpreter = _INTERPRETER.match(head)
        if interpreter is None:
            return path, machine(head)
        path = interpreter[1]
    return path, None


def _head(files: StoreFiles, path: bytes) -> bytes:
    real, mode = files.follow(b"", path)
    if not stat.S_ISREG(mode) or not mode & stat.S_IXUSR:
        return b""
    text: str = files.get_or_compute(real, "head", partial(_first_bytes, files, real))
    return as_bytes(text)


def _first_bytes(files: StoreFiles, real: bytes) -> str:
    """The head as JSON can have it."""
    handle = os.open(files.content(real), os.O_RDONLY)
    try:
        return as_text(os.pread(handle, _HEAD, 0))
    finally:
        os.close(handle)
