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
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from fastcrc import crc64
from msgspec import Struct

from nix2oci.model.tree import Entry, File
from nix2oci.oci.layer.blob import Layer, Out
from nix2oci.oci.layer.chunk_borders import chunks
from nix2oci.oci.layer.chunk_compressor import chunk_compressor
from nix2oci.oci.layer.compression import Chunking
from nix2oci.oci.layer.table_of_contents import Content, Table
from nix2oci.oci.layer.tar import END, entry_header, padding
from nix2oci.oci.layer.threads import begin, in_order
from nix2oci.oci.spec import LAYER_ZSTD, Digest

if TYPE_CHECKING:
    from concurrent.futures import Executor

_TAR = 64 << 10
"""Bytes of headers in one frame at most, where no content comes between them."""
_BATCH = 1 << 18
"""Bytes of tar that one task compresses."""
_FRAMES = 1024
"""Frames that one task compresses at most."""
_AHEAD = 6
"""Batches that may wait for a compressor or the disk: bounds memory."""

Data = bytes | memoryview


class _Tar(Struct, frozen=True):
    """Headers and padding between the contents of two files, and each with its entry."""

    data: Data
    members: Sequence[tuple[bytes, Entry | None]]


class _Chunk(Struct, frozen=True):
    """A piece of a file, and where in it that begins."""

    data: Data
    file: File
    start: int

    @property
    def is_first(self) -> bool:
        return self.start == 0

    @property
    def is_last(self) -> bool:
        return self.start + len(self.data) == self.file.size


_Frame = _Tar | _Chunk


class _Packed(Struct, frozen=True):
    """Frames as they are in the blob."""

    data: bytes
    sizes: Sequence[int]
    digests: Sequence[bytes]
    """SHA-256 of each chunk; empty for tar, and for what `_Hashed` has."""


class _Hashed(Struct, frozen=True):
    """A file as far as it was read: what is known when all that is before it was hashed."""

    digest: bytes
    """SHA-256 behind the first of several chunks and behind the last, else empty."""
    crc: int


_IS_TAR = _Hashed(b"", 0)


def write_chunked_layer(
    entries: Iterable[Entry],
    chunking: Chunking,
    out: Out,
    pool: Executor | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Layer:
    """Write the blob of a layer to `out` and say what it is, with the annotations it needs.

    Compressing runs in `pool` where there is one, and a thread beside it hashes the tar; all else
    is done here. `progress` is told the bytes of tar that were read, some at a time. The number of
    threads decides no byte. A layer with a name that is not UTF-8, which no table can hold, has no
    table and no annotations.
    """
    with closing(Table(chunking)) as table:
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
        self._file, self._crc = hashlib.sha256(), 0

    def write_all(
        self,
        batches: Iterable[Sequence[_Frame]],
        pool: Executor | None,
        progress: Callable[[int], None],
    ) -> None:
        waiting: deque[Callable[[], None]] = deque()
        ahead = _AHEAD if pool else 0
        with in_order(pool) as hashing:
            for batch in batches:
                hashed = begin(hashing, self._hash, batch)
                packed = begin(pool, self._pack, batch)
                waiting.append(partial(self._write, batch, hashed, packed))
                if len(waiting) > ahead:
                    waiting.popleft()()
                progress(sum(len(frame.data) for frame in batch))
            for write in waiting:
                write()

    def _hash(self, batch: Sequence[_Frame]) -> Sequence[_Hashed]:
        """Hash the tar and the files in it, each of which may be in several batches."""
        hashed = []
        for frame in batch:
            self._plain.update(frame.data)
            self._tar_size += len(frame.data)
            hashed.append(_IS_TAR if isinstance(frame, _Tar) else self._hash_file(frame))
        return hashed

    def _hash_file(self, chunk: _Chunk) -> _Hashed:
        self._crc = crc64.go_iso(chunk.data, 0 if chunk.is_first else self._crc)
        if chunk.is_first and chunk.is_last:
            return _Hashed(b"", self._crc)
        if chunk.is_first:
            self._file = hashlib.sha256(chunk.data)
        else:
            self._file.update(chunk.data)
        ends = chunk.is_first or chunk.is_last
        return _Hashed(self._file.digest() if ends else b"", self._crc)

    def _pack(self, batch: Sequence[_Frame]) -> _Packed:
        """Frames of the blob, in whichever thread this is."""
        if not hasattr(self._of_thread, "compressor"):
            self._of_thread.compressor = chunk_compressor(self._chunking)
        compress = self._of_thread.compressor.compress
        frames = [compress(frame.data) for frame in batch]
        return _Packed(b"".join(frames), [*map(len, frames)], [*map(_digest, batch)])

    def _write(
        self,
        batch: Sequence[_Frame],
        hashing: Callable[[], Sequence[_Hashed]],
        packing: Callable[[], _Packed],
    ) -> None:
        files, packed, offset = hashing(), packing(), self._size
        for frame, known, size, digest in zip(
            batch, files, packed.sizes, packed.digests, strict=True
        ):
            if isinstance(frame, _Tar):
                self._files += self._table.add_members(frame.members)
            else:
                whole = Content(frame.file, known.digest, known.crc) if frame.is_last else None
                self._table.add_chunk(offset, size, len(frame.data), digest or known.digest, whole)
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
    start = 0
    for piece in chunks(file.chunks, file.size):
        yield _Chunk(piece, file, start)
        start += len(piece)


def _digest(frame: _Frame) -> bytes:
    if isinstance(frame, _Tar) or (frame.is_first and not frame.is_last):
        return b""
    return hashlib.sha256(frame.data).digest()
