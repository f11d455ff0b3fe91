"""The file system of an image as one tar, without unpacking it.

Two passes over the layers, in bounded memory: the names, which decide what is there in the end, and
then the bytes of what is. The same image gives the same tar: directories first, then what has no
content, then files in the order in which the layers have them. A hard link comes right behind the
first of its names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from nix2oci.errors import RepresentationError
from nix2oci.oci.layer.inodes import Inode
from nix2oci.oci.layer.tar import END, member_header, padding
from nix2oci.oci.layer.untar import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    SYMLINK,
    Member,
)
from nix2oci.oci.merged_files import ImageFiles
from nix2oci.text import display

_KINDS = frozenset({FILE, DIRECTORY, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, FIFO})
_DEVICES = 8**7
"""As many numbers of devices as ustar has."""

_Place = tuple[int, int]
"""Numbers of a layer and of a member in it."""


def export(files: ImageFiles) -> Iterator[bytes | memoryview]:
    """The bytes of the tar, in pieces. All layers were read before the first; raises as that."""
    found = files.all()
    for path, inode in found.items():
        _check(path, inode.member)
    others: dict[_Place, tuple[Inode, list[bytes]]] = {}
    for path, inode in found.items():
        if inode.is_directory:
            yield member_header(inode.member, path + b"/" if path else b"./")
        else:
            others.setdefault((inode.layer, inode.place), (inode, []))[1].append(path)
    full: dict[int, dict[int, Inode]] = {}
    for (layer, place), (inode, paths) in others.items():
        if inode.is_file and inode.member.size:
            full.setdefault(layer, {})[place] = inode
        else:
            yield from _headers(inode, paths)
    for layer in sorted(full):
        yield from _with_contents(files, layer, full[layer], others)
    yield END


def _with_contents(
    files: ImageFiles,
    layer: int,
    wanted: Mapping[int, Inode],
    others: Mapping[_Place, tuple[Inode, list[bytes]]],
) -> Iterator[bytes | memoryview]:
    for place, pieces in groupby(files.pieces(layer, wanted), lambda item: item[0].place):
        inode, paths = others[layer, place]
        header, *links = _headers(inode, paths)
        yield header
        yield from (piece for _, piece in pieces)
        yield padding(inode.member.size)
        yield from links


def _check(path: bytes, member: Member) -> None:
    """Raise `RepresentationError` for what the tar cannot have: before any of it is written."""
    causes = {
        f"it is of the unknown type {display(member.kind)!r}": member.kind not in _KINDS,
        f"there is no device {member.device}": max(member.device) >= _DEVICES,
        "the link leads to a name with NUL": b"\0" in member.link,
    }
    for cause, is_so in causes.items():
        if is_so:
            raise RepresentationError(f"cannot export /{display(path)}: {cause}")


def _headers(inode: Inode, paths: list[bytes]) -> Iterator[bytes]:
    """The header of the first path, and those of hard links to it."""
    first, *links = paths
    yield member_header(inode.member, first)
    for path in links:
        yield member_header(inode.member, path, first)
