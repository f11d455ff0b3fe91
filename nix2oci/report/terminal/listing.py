"""Files of an image as `ls -l` prints them: mode, owner, size, path, and where a link leads."""

from __future__ import annotations

from collections.abc import Sequence

from nix2oci.compare.image_listing import Listed
from nix2oci.oci.layer.untar import BLOCK_DEVICE, CHARACTER_DEVICE, DIRECTORY, FIFO, FILE, SYMLINK
from nix2oci.text import display

_KINDS = {
    FILE: "-",
    DIRECTORY: "d",
    SYMLINK: "l",
    CHARACTER_DEVICE: "c",
    BLOCK_DEVICE: "b",
    FIFO: "p",
}
_SPECIAL = ((2, 0o4000, "s"), (5, 0o2000, "s"), (8, 0o1000, "t"))
"""Where set-user-ID, set-group-ID and sticky are shown, and how: in capitals without x."""


def listing_lines(found: Sequence[Listed]) -> list[str]:
    """A line for each, whole also on a narrow terminal; owners and sizes are aligned."""
    rows = [(_mode(each), _owner(each), _size(each), _path(each)) for each in found]
    owner = max((len(row[1]) for row in rows), default=0)
    size = max((len(row[2]) for row in rows), default=0)
    return [
        f"{mode} {name.ljust(owner)} {count.rjust(size)} {path}" for mode, name, count, path in rows
    ]


def _mode(listed: Listed) -> str:
    member = listed.inode.member
    bits = ["rwx"[at % 3] if member.mode & 0o400 >> at else "-" for at in range(9)]
    for at, bit, letter in _SPECIAL:
        if member.mode & bit:
            bits[at] = letter.upper() if bits[at] == "-" else letter
    kind = "-" if listed.inode.is_file else _KINDS.get(member.kind, "?")
    return kind + "".join(bits)


def _owner(listed: Listed) -> str:
    member = listed.inode.member
    user = str(member.uid) if listed.user is None else listed.user
    return f"{user}:{member.gid if listed.group is None else listed.group}"


def _size(listed: Listed) -> str:
    member = listed.inode.member
    if member.kind in (CHARACTER_DEVICE, BLOCK_DEVICE):
        return ", ".join(map(str, member.device))
    return str(listed.size)


def _path(listed: Listed) -> str:
    target = listed.inode.target
    return display(listed.path) + ("" if target is None else f" -> {display(target)}")
