"""The launcher: a wrapper's operations as data behind the code of a static program.

`launcher.c` is the program; it is compiled when the package is built (hatch_build.py). Here the
operations are written in the form that it reads: a header, then bytes and texts that end in NUL.
The hard part is done by the ELF format: the last segment of the template holds a placeholder, and
a longer one takes its place.
"""

from __future__ import annotations

import struct

from nix2oci.errors import RepresentationError
from nix2oci.text import display
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
    normal_directory,
)

# e_machine of the ELF specification, by the name that Nix and the kernel have for it.
MACHINES = {"x86_64": 62, "aarch64": 183}

# What a launcher holds at most; the kernel would not take as much in one call of execve.
MAX_OPERATIONS = 1 << 20

MAGIC = b"N2OCIOP1"
"""What the operations of a launcher begin with."""

_HEADER = struct.Struct("<8sIIII")  # magic, size of the file, new entries, words before and after
_END = b"\0"
_JOINED = {Prefix: b"P", Suffix: b"X", PrefixWhole: b"p", SuffixWhole: b"x"}


def encode(launch: Launch, machine: str, template: bytes) -> bytes:
    """An executable that does what `launch` says.

    `template` is the compiled launcher for `machine`, a key of `MACHINES`. The result is a
    function of the three and nothing else. Raises `RepresentationError` where the operations take
    more than `MAX_OPERATIONS` bytes, and `ValueError` for a template of something else.
    """
    p_offset, p_filesz_at = _last_segment(template, machine)
    data = _operations(launch)
    if len(data) > MAX_OPERATIONS:
        raise RepresentationError(
            f"cannot make a launcher for {display(launch.target)}: its operations take "
            f"{len(data)} bytes, more than {MAX_OPERATIONS}"
        )
    length = _HEADER.size + len(data)
    header = _HEADER.pack(
        MAGIC,
        p_offset + length,
        sum(2 if isinstance(op, Chdir) else 1 for op in launch.ops),
        len(launch.before),
        len(launch.after),
    )
    elf = bytearray(template[:p_offset])
    struct.pack_into("<QQ", elf, p_filesz_at, length, length)
    return bytes(elf) + header + data


def _last_segment(template: bytes, machine: str) -> tuple[int, int]:
    """Where the placeholder lies in the file, and where p_filesz and p_memsz of its header do."""
    (found,) = struct.unpack_from("<H", template, 18)
    if not template.startswith(b"\x7fELF\x02\x01") or found != MACHINES[machine]:
        raise ValueError(f"the template is not an ELF file for {machine}")
    (e_phoff,) = struct.unpack_from("<Q", template, 32)
    e_phentsize, e_phnum = struct.unpack_from("<HH", template, 54)
    for at in range(e_phoff, e_phoff + e_phentsize * e_phnum, e_phentsize):
        (p_offset,) = struct.unpack_from("<Q", template, at + 8)
        if template[p_offset:].startswith(MAGIC) and len(template) == p_offset + _HEADER.size:
            return p_offset, at + 32
    raise ValueError(f"the template for {machine} has no place for operations at its end")


def _operations(launch: Launch) -> bytes:
    match launch.argv0:
        case Argv0.TARGET:
            argv0 = b"T"
        case Argv0.EXECFN:
            argv0 = b"E"
        case literal:
            argv0 = b"L" + _texts(literal)
    ops = b"".join(_operation(op) for op in launch.ops)
    return ops + _END + _texts(launch.target) + argv0 + _texts(*launch.before, *launch.after)


def _operation(op: Op) -> bytes:
    match op:
        case Set() | Default():  # a Preset is a Default
            code = b"S" if isinstance(op, Set) else b"D"
            return code + _texts(op.name + b"=" + op.value)
        case Unset():
            return b"U" + _texts(op.name + b"=")
        case Prepend() | Append():
            code = b"p" if isinstance(op, Prepend) else b"x"
            return code + _texts(op.name + b"=", b"", op.text)
        case Chdir():
            return b"C" + _texts(op.directory, b"PWD=" + normal_directory(op.directory))
        case joined:
            return _JOINED[type(joined)] + _texts(op.name + b"=", op.separator, op.value)


def _texts(*texts: bytes) -> bytes:
    return b"".join(text + b"\0" for text in texts)
