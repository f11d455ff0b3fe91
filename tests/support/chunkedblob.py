"""zstd:chunked blobs, made without the project's own code, whose table can be spoiled.

They have the form that containers/storage writes: chunks of a fixed size, a frame for each.
"""

from __future__ import annotations

import io
import json
import struct
import tarfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import zstandard
from support.smallimage import VIEW_ENTRIES, Json, Layer, digest_of, directory, entry, nothing, tar

CHUNK = 1000
TYPES = {
    tarfile.REGTYPE: "reg",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
}
ENTRIES = (
    *VIEW_ENTRIES,
    directory("srv"),
    entry("srv/data", bytes(range(250)) * 10, mode=0o644),
    entry("srv/empty", mode=0o644),
    entry("srv/hard", type=tarfile.LNKTYPE, linkname="srv/data", mode=0o644),
)
KEY = "io.github.containers.zstd-chunked."
CHECKSUM, POSITION, SPLIT = (
    KEY + name for name in ("manifest-checksum", "manifest-position", "tarsplit-position")
)


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def skippable(data: bytes) -> bytes:
    return b"\x50\x2a\x4d\x18" + struct.pack("<I", len(data)) + data


def crc64(data: bytes) -> bytes:
    """Go's hash/crc64 with its ISO polynomial, bit by bit."""
    found = 0xFFFFFFFFFFFFFFFF
    for byte in data:
        found ^= byte
        for _ in range(8):
            found = found >> 1 ^ (0xD800000000000000 if found & 1 else 0)
    return (found ^ 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big")


def chunked(
    plain: bytes,
    *,
    table: Callable[[Json], object] = nothing,
    lines: Callable[[list[Json]], object] = nothing,
    footer: Callable[[list[int]], object] = nothing,
    raw_table: Callable[[bytes], bytes] = bytes,
    raw_lines: Callable[[bytes], bytes] = bytes,
    with_split: bool = True,
) -> tuple[bytes, dict[str, str]]:
    """A blob, and what its descriptor has to say; each function edits a part in place."""
    blob, entries, split = bytearray(), list[Json](), list[Json]()
    for raw, info, content in _members(plain):
        blob += zstd(raw)
        split.append({"type": 2, "payload": b64encode(raw).decode()})
        if info is not None:
            split.append(_file(info, content))
            entries += _entry(blob, info, content)
    lines(split)
    split = [{**line, "position": number} for number, line in enumerate(split)]
    plain_split = raw_lines(b"".join(json.dumps(line).encode() + b"\n" for line in split))
    packed_split = zstd(plain_split)
    document: Json = {"version": 1, "entries": entries}
    if with_split:
        document["tarSplitDigest"] = digest_of(packed_split)
    table(document)
    plain_table = raw_table(json.dumps(document).encode())
    packed_table = zstd(plain_table)
    at = len(blob) + 8
    places = [at, len(packed_table), len(plain_table), 1]
    if with_split:
        places += [at + len(packed_table) + 8, len(packed_split), len(plain_split)]
    blob += skippable(packed_table) + (skippable(packed_split) if with_split else b"")
    notes = {CHECKSUM: digest_of(packed_table), POSITION: ":".join(map(str, places[:4]))}
    if with_split:
        notes[SPLIT] = ":".join(map(str, places[4:]))
    footer(places)
    blob += skippable(struct.pack(f"<{len(places)}Q", *places) + b"GNUlInUx")
    return bytes(blob), notes


def layer(
    plain: bytes = tar(*ENTRIES), annotations: Callable[[Json], object] = nothing, **spoil: Any
) -> Layer:
    """A layer of `chunked`, and its annotations as they are edited."""
    blob, notes = chunked(plain, **spoil)
    annotations(notes)
    return Layer(plain, lambda _: blob, "+zstd", notes)


def _members(plain: bytes) -> Iterator[tuple[bytes, tarfile.TarInfo | None, bytes]]:
    """What is tar before the content of a member, the member, the content; the end with None."""
    done = 0
    with tarfile.open(fileobj=io.BytesIO(plain)) as file:
        for info in file:
            size = info.size if info.isreg() else 0
            content = plain[info.offset_data : info.offset_data + size]
            yield plain[done : info.offset_data], info, content
            done = info.offset_data + size
    yield plain[done:], None, b""


def _file(info: tarfile.TarInfo, content: bytes) -> Json:
    checksum = {"payload": b64encode(crc64(content)).decode()} if content else {}
    size = {"size": len(content)} if content else {}
    return {"type": 1, "name": info.name, **size, **checksum}


def _entry(blob: bytearray, info: tarfile.TarInfo, content: bytes) -> Iterator[Json]:
    """The entry of a member and those of its chunks, whose frames are added to the blob."""
    found: Json = {
        "type": TYPES[info.type],
        "name": info.name + ("/" if info.isdir() else ""),
        "mode": info.mode,
        "uid": info.uid,
        "gid": info.gid,
        "modtime": datetime.fromtimestamp(info.mtime, UTC).isoformat(),
    }
    if info.linkname:
        found["linkName"] = info.linkname
    if not content:
        yield found
        return
    found |= {"size": len(content), "digest": digest_of(content), "offset": len(blob)}
    pieces = [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)]
    chunks: list[Json] = [found]
    for number, piece in enumerate(pieces):
        if number:
            chunks.append({"type": "chunk", "name": info.name, "offset": len(blob)})
        blob += zstd(piece)
        if len(pieces) > 1:
            rest = number == len(pieces) - 1
            chunks[-1] |= {
                "chunkDigest": digest_of(piece),
                "chunkOffset": number * CHUNK,
                "chunkSize": 0 if rest else len(piece),
            }
    found["endOffset"] = len(blob)
    yield from chunks
