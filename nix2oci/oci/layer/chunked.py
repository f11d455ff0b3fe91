"""zstd:chunked: a zstd blob of which a client can take parts, by a table at its end.

The form is that of containers/storage `pkg/chunked`: a frame for each chunk of a file, frames for
what is tar between them, and three skippable frames: table of contents, tar-split, footer. Whoever
does not know it reads plain zstd.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import closing

from fastcrc import crc64
from msgspec import Struct

from nix2oci.model.tree import Entry, File
from nix2oci.oci.layer.blob import Layer, Out
from nix2oci.oci.layer.chunk_borders import chunks
from nix2oci.oci.layer.chunk_compressor import chunk_compressor
from nix2oci.oci.layer.compression import Chunking
from nix2oci.oci.layer.table_of_contents import Content, Table
from nix2oci.oci.layer.tar import END, entry_header, padding
from nix2oci.oci.spec import LAYER_ZSTD, Digest

_TAR = 64 << 10
"""Bytes of headers in one frame at most, where no content comes between them."""
_BATCH = 1 << 18
"""Bytes of tar that one task compresses."""
_FRAMES = 1024
"""Frames that one task compresses at most."""
_AHEAD = 3
"""Batches that may wait for a compressor or the disk: bounds memory."""

Data = bytes | memoryview


class _Tar(Struct, frozen=True):
    """Headers and padding between the contents of two files, and each with its entry."""

    data: Data
    members: Sequence[tuple[bytes, Entry | None]]


class _Chunk(Struct, frozen=True):
    """A piece of a file."""

    data: Data
    whole: Content | None = None
    """What the file is, behind the last of its pieces."""
    digest: bytes = b""
    """Its SHA-256, where that is known."""


_Frame = _Tar | _Chunk


class _Packed(Struct, frozen=True):
    """Frames as they are in the blob."""

    data: bytes
    sizes: Sequence[int]
    digests: Sequence[bytes]
    """SHA-256 of each plain frame, empty for tar."""


def write_chunked_layer(
    entries: Iterable[Entry],
    chunking: Chunking,
    out: Out,
    pool: Executor | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Layer:
    """Write the blob of a layer to `out` and say what it is, with the annotations it needs.

    Compressing runs in `pool` where there is one, all else here. `progress` is told the bytes of
    tar that were read, some at a time. The number of threads decides no byte. A layer with a name
    that is not UTF-8, which no table can hold, has no table and no annotations.
    """
    with closing(Table()) as table:
        layer = _Layer(out, table, chunking)
        layer.write_all(_batches(_frames(entries)), pool, progress)
        return layer.end()


class _Layer:
    """A blob that grows, and what is counted and hashed meanwhile."""

    def __init__(self, out: Out, table: Table, chunking: Chunking) -> None:
        self._out, self._table, self._chunking = out, table, chunking
        self._of_thread = threading.local()
        self._plain, self._packed = hashlib.sha256(), hashlib.sha256()
        self._files = self._tar_size = self._size = 0

    def write_all(
        self,
        batches: Iterable[Sequence[_Frame]],
        pool: Executor | None,
        progress: Callable[[int], None],
    ) -> None:
        waiting: deque[tuple[Sequence[_Frame], Future[_Packed]]] = deque()
        for batch in batches:
            self._hash(batch, progress)
            if pool is None:
                self._write(batch, self._pack(batch))
                continue
            waiting.append((batch, pool.submit(self._pack, batch)))
            if len(waiting) > _AHEAD:
                before, future = waiting.popleft()
                self._write(before, future.result())
        for batch, future in waiting:
            self._write(batch, future.result())

    def _hash(self, batch: Sequence[_Frame], progress: Callable[[int], None]) -> None:
        size = 0
        for frame in batch:
            self._plain.update(frame.data)
            size += len(frame.data)
        self._tar_size += size
        progress(size)

    def _pack(self, batch: Sequence[_Frame]) -> _Packed:
        """Frames of the blob, in whichever thread this is."""
        if not hasattr(self._of_thread, "compressor"):
            self._of_thread.compressor = chunk_compressor(self._chunking)
        compress = self._of_thread.compressor.compress
        frames = [compress(frame.data) for frame in batch]
        return _Packed(b"".join(frames), [*map(len, frames)], [*map(_digest, batch)])

    def _write(self, batch: Sequence[_Frame], packed: _Packed) -> None:
        offset = self._size
        for frame, size, digest in zip(batch, packed.sizes, packed.digests, strict=True):
            if isinstance(frame, _Tar):
                self._files += self._table.add_members(frame.members)
            else:
                self._table.add_chunk(offset, size, len(frame.data), digest, frame.whole)
            offset += size
        self._append(packed.data)

    def _append(self, data: bytes) -> None:
        self._packed.update(data)
        self._size += self._out.write(data)

    def end(self) -> Layer:
        annotations, parts = self._table.end(self._size)
        for part in parts:
            self._append(part)
        digest, diff_id = (
            Digest("sha256:" + each.hexdigest()) for each in (self._packed, self._plain)
        )
        return Layer(
            LAYER_ZSTD,
            digest,
            self._size,
            diff_id,
            self._tar_size,
            self._files,
            annotations=annotations,
        )


def _batches(frames: Iterable[_Frame]) -> Iterator[Sequence[_Frame]]:
    """Enough frames for a task to be worth its while; which are together decides no byte."""
    batch: list[_Frame] = []
    size = 0
    for frame in frames:
        batch.append(frame)
        size += len(frame.data)
        if size >= _BATCH or len(batch) >= _FRAMES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _frames(entries: Iterable[Entry]) -> Iterator[_Frame]:
    """The tar of entries, cut for frames."""
    members: list[tuple[bytes, Entry | None]] = []
    size, gap = 0, b""
    for entry in entries:
        header = gap + entry_header(entry)
        members.append((header, entry))
        size += len(header)
        gap = b""
        has_content = isinstance(entry, File) and entry.size > 0
        if has_content or size >= _TAR:
            yield _tar(members)
            members, size = [], 0
        if isinstance(entry, File):
            yield from _content(entry)
            gap = padding(entry.size)
    yield _tar([*members, (gap + END, None)])


def _tar(members: Sequence[tuple[bytes, Entry | None]]) -> _Tar:
    return _Tar(b"".join(header for header, _ in members), members)


def _content(file: File) -> Iterator[_Chunk]:
    pieces = chunks(file.chunks, file.size)
    if (piece := next(pieces, None)) is None:
        return
    if len(piece) == file.size:
        yield _Chunk(piece, Content(file, None, crc64.go_iso(piece)))
        return
    whole, crc, left = hashlib.sha256(piece), crc64.go_iso(piece), file.size - len(piece)
    yield _Chunk(piece, digest=whole.digest())
    for piece in pieces:
        whole.update(piece)
        crc = crc64.go_iso(piece, crc)
        left -= len(piece)
        yield _Chunk(piece, None if left else Content(file, whole.digest(), crc))


def _digest(frame: _Frame) -> bytes:
    if isinstance(frame, _Tar):
        return b""
    return frame.digest or hashlib.sha256(frame.data).digest()
