"""The table of a zstd:chunked layer, as anybody may have written it.

It is three frames at the end of the blob that readers of zstd skip: the table of contents, the
tar-split (by which the tar is put together again from its files), and a footer that says where
both are. Those before 2024 have no tar-split. The form is that of containers/storage, pkg/chunked.
"""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Raw, Struct

from nix2oci.oci.layer.compression import CHECKSUM, POSITION, TAR_SPLIT
from nix2oci.oci.layer.unpack import UnpackError, unpacked
from nix2oci.oci.spec import Digest
from nix2oci.oci.validate.frames import Frames, Skipped

_MAGIC = b"GNUlInUx"
_KIND = 1
_FOOTERS = (64, 40)
"""Bytes of a footer, with a tar-split and without."""

MOST = 150 << 20
"""Bytes of a table of contents that clients take."""
_LINE = 64 << 20
"""Bytes of a line of the tar-split: there are the headers and padding between two files."""


class TableError(Exception):
    """The table cannot be read; says why."""


class Part(Struct, frozen=True):
    """A document of the table, in its frame."""

    start: int
    size: int
    payload: bytes

    @property
    def digest(self) -> str:
        """Of its compressed bytes."""
        return str(Digest.of(self.payload))

    @property
    def place(self) -> str:
        return f"{self.start}:{len(self.payload)}:{self.size}"


class ChunkTable(Struct, frozen=True):
    """Where the table of a blob is."""

    contents: Part
    split: Part | None

    @property
    def annotations(self) -> dict[str, str]:
        """What the descriptor of a layer has to say of it."""
        found = {CHECKSUM: self.contents.digest, POSITION: f"{self.contents.place}:{_KIND}"}
        return found | ({TAR_SPLIT: self.split.place} if self.split else {})


class Entry(Struct, rename="camel"):
    """A line of the table of contents: a member of the tar, or a chunk after the first of one."""

    type: str
    name: str
    link_name: str = ""
    mode: int = 0
    size: int = 0
    uid: int = 0
    gid: int = 0
    modtime: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    digest: str = ""
    offset: int = 0
    end_offset: int = 0
    chunk_size: int = 0
    chunk_offset: int = 0
    chunk_digest: str = ""


class _Contents(Struct, rename="camel"):
    version: int
    entries: Raw
    tar_split_digest: str = ""


class _Line(Struct):
    """A line of the tar-split: 1 is a file, whose content lies elsewhere, 2 bytes of the tar."""

    type: int
    name: str = ""
    name_raw: str = ""
    payload: str | None = None
    size: int = 0


def has_footer(frames: Frames) -> bool:
    """Whether a blob ends like one that has a table."""
    return frames.is_last_skipped and frames.skipped[-1].payload.endswith(_MAGIC)


def table_of(frames: Frames) -> ChunkTable:
    """Where the footer of a blob says that its table is; raises `TableError`."""
    footer = frames.skipped[-1].payload
    if len(footer) not in _FOOTERS:
        raise TableError(f"its footer has {len(footer)} bytes")
    start, packed, size, kind, *split = struct.unpack(f"<{len(footer) // 8 - 1}Q", footer[:-8])
    if kind != _KIND:
        raise TableError(f"it is of the unknown kind {kind}")
    before = frames.skipped[:-1]
    contents = _part("the table of contents", before, start, packed, size)
    return ChunkTable(contents, _part("the tar-split", before, *split) if split else None)


def _part(what: str, frames: tuple[Skipped, ...], start: int, packed: int, size: int) -> Part:
    for frame in frames:
        if (frame.start, len(frame.payload)) == (start, packed):
            return Part(start, size, frame.payload)
    raise TableError(f"{what} is not where the footer says, at {start} with {packed} bytes")


def entries(table: ChunkTable, most: int) -> Iterator[Entry]:
    """What is in the table of contents, of `most` bytes; raises `TableError`."""
    data = b"".join(_plain(table.contents, "the table of contents", most))
    try:
        found = msgspec.json.decode(data, type=_Contents)
    except (ValueError, msgspec.MsgspecError, RecursionError) as err:
        raise TableError(f"its table of contents cannot be read: {_short(err)}") from err
    if found.version != 1:
        raise TableError(f"its table of contents has version {found.version}")
    if table.split and found.tar_split_digest != table.split.digest:
        raise TableError("its tar-split is another one than the table of contents names")
    yield from _each(found.entries)


def _each(data: Raw) -> Iterator[Entry]:
    """One entry after the other: all at once, small ones might take many times their bytes."""
    try:
        text = str(data, "utf-8")
        decoder, at = json.JSONDecoder(), 1
        while text[:1] == "[" and (at := _next(text, at)) < len(text) and text[at] != "]":
            found, at = decoder.raw_decode(text, at)
            yield msgspec.convert(found, Entry)
    except (ValueError, msgspec.MsgspecError, RecursionError) as err:
        raise TableError(f"its table of contents cannot be read: {_short(err)}") from err


def _next(text: str, at: int) -> int:
    while at < len(text) and text[at] in ", \t\r\n":
        at += 1
    return at


def split_lines(part: Part, most: int) -> Iterator[tuple[bytes, int, bytes]]:
    """The tar-split: name and size of files with the CRC-64 of these, and pieces of tar, size 0.

    It has `most` bytes. Raises `TableError`.
    """
    rest = b""
    for piece in _plain(part, "the tar-split", most):
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _LINE:
            raise TableError(f"a line of its tar-split has more than {_LINE} bytes")
        yield from map(_line, filter(None, lines))
    if rest:
        yield _line(rest)


def _line(data: bytes) -> tuple[bytes, int, bytes]:
    try:
        line = msgspec.json.decode(data, type=_Line)
        payload = b64decode(line.payload or "", validate=True)
        name = b64decode(line.name_raw, validate=True) or line.name.encode()
    except (ValueError, msgspec.MsgspecError, RecursionError) as err:
        raise TableError(f"its tar-split cannot be read: {_short(err)}") from err
    if line.type not in (1, 2) or line.size < 0:
        raise TableError(f"its tar-split has a line of type {line.type} and size {line.size}")
    if line.type == 1:
        return name, line.size, payload if line.size else b""
    return b"", 0, payload


def _plain(part: Part, what: str, most: int) -> Iterator[bytes]:
    """The document of a part, in pieces, as far as the footer says that it goes."""
    if part.size > most:
        raise TableError(f"{what} has {part.size} bytes, too many for this layer")
    left = part.size
    try:
        for piece in unpacked([part.payload], "zstd"):
            left -= len(piece)
            if left < 0:
                break
            yield piece
    except UnpackError as err:
        raise TableError(f"{what} cannot be unpacked: {_short(err)}") from err
    if left:
        raise TableError(f"{what} has not the {part.size} bytes that the footer says")


def _short(err: Exception) -> str:
    return str(err)[:100]
