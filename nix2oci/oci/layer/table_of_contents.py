"""The table of a chunked layer: what is in its tar, and where in its blob each content lies.

Both documents grow with the layer, so they are compressed as they are made, and lie in a file when
they are large. An entry stands before the chunks of its file and says where the last one ends:
what is known of chunks waits as numbers and digests, since a file may have a hundred thousand.
"""

from __future__ import annotations

import hashlib
import struct
from binascii import b2a_base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from tempfile import SpooledTemporaryFile

import msgspec
import zstandard
from msgspec import Struct

from nix2oci.model.tree import ROOT, Directory, Entry, File, HardLink, Symlink, Whiteout
from nix2oci.oci.layer.compression import CHECKSUM, POSITION, TAR_SPLIT, Chunking

_IN_MEMORY = 256 << 10
"""Bytes of a compressed document that are kept in memory."""
_PIECE = 64 << 10
_SKIPPABLE = b"\x50\x2a\x4d\x18"
_HEADER = 8
"""Bytes of a skippable frame before its payload (RFC 8878, 3.1.2)."""
_MAGIC = b"GNUlInUx"
_KIND = 1
_CHUNK = struct.Struct("<QIQ32s")
"""Offset in the blob, size there, size of the plain chunk, its SHA-256."""
_PARAMETERS = {
    Chunking.FINE: zstandard.ZstdCompressionParameters(
        strategy=zstandard.STRATEGY_FAST, window_log=19, hash_log=14, min_match=7
    ),
    Chunking.SMALL: zstandard.ZstdCompressionParameters(
        strategy=zstandard.STRATEGY_LAZY2,
        window_log=19,
        hash_log=16,
        chain_log=16,
        search_log=3,
        min_match=6,
    ),
}
"""Most of these documents are digests, which nothing makes shorter. The first takes a sixth of the
time of the second, which makes 8 % less of them: as little as level 9, with a tenth of its tables.
"""
_TIME = b',"modtime":"1970-01-01T00:00:01Z"'


class Content(Struct, frozen=True):
    """What is known of a file behind the last of its chunks."""

    file: File
    digest: bytes
    """SHA-256; empty where it is that of its only chunk."""
    crc: int


class Table:
    """Table of contents and tar-split of a layer that is being written; close it at the end."""

    def __init__(self, chunking: Chunking) -> None:
        self._contents, self._split = _Document(chunking), _Document(chunking)
        self._chunks = bytearray()
        self._lines = self._entries = 0
        self._is_text = True
        self._contents.add(b'{"version":1,"entries":[')

    def add_members(self, members: Iterable[tuple[bytes, Entry | None]]) -> int:
        """Bytes of tar, each with the entry that they are the header of; how many are files."""
        files = 0
        for header, entry in members:
            self._add_line(b'{"type":2,"payload":"%s"' % b2a_base64(header, newline=False))
            if entry is None:
                continue
            files += isinstance(entry, File)
            self._is_text = self._is_text and _is_text(entry)
            if not isinstance(entry, File) or not entry.size:
                self._add_entry(_entry(entry) + b"}")
        return files

    def add_chunk(
        self, offset: int, size: int, plain_size: int, digest: bytes, whole: Content | None
    ) -> None:
        """The next chunk of the file whose header came last; `whole` is given with the last."""
        self._chunks += _CHUNK.pack(offset, size, plain_size, digest)
        if whole is not None:
            self._add_file(whole)
            self._chunks.clear()

    def _add_file(self, whole: Content) -> None:
        rows = _CHUNK.iter_unpack(bytes(self._chunks))
        offset, size, plain_size, digest = next(rows)
        last = _CHUNK.unpack(self._chunks[-_CHUNK.size :])
        end = last[0] + last[1]
        name = _text(whole.file.path)
        row = _entry(whole.file) + b',"digest":"sha256:%s","offset":%d,"endOffset":%d' % (
            (whole.digest or digest).hex().encode(),
            offset,
            end,
        )
        if plain_size < whole.file.size:
            row += _chunk(plain_size, digest)
        self._add_entry(row + b"}")
        position = plain_size
        for offset, size, plain_size, digest in rows:
            row = b'{"type":"chunk","name":%s,"offset":%d,"endOffset":%d,"chunkOffset":%d' % (
                name,
                offset,
                offset + size,
                position,
            )
            self._add_entry(row + _chunk(plain_size, digest) + b"}")
            position += plain_size
        crc = b2a_base64(whole.crc.to_bytes(8, "big"), newline=False)
        self._add_line(
            b'{"type":1,"name":%s,"size":%d,"payload":"%s"' % (name, whole.file.size, crc)
        )

    def _add_entry(self, row: bytes) -> None:
        self._contents.add(b"," + row if self._entries else row)
        self._entries += 1

    def _add_line(self, line: bytes) -> None:
        self._split.add(b'%s,"position":%d}\n' % (line, self._lines))
        self._lines += 1

    def end(self, offset: int) -> tuple[Mapping[str, str], Iterator[bytes]]:
        """The annotations of a layer whose blob has `offset` bytes, and what comes behind these.

        Neither where a name is no text.
        """
        if not self._is_text:
            return {}, iter(())
        self._split.end()
        self._contents.add(b'],"tarSplitDigest":"sha256:%s"}' % self._split.digest().encode())
        self._contents.end()
        first = offset + _HEADER
        second = first + self._contents.size + _HEADER
        places = (
            *(first, self._contents.size, self._contents.plain_size, _KIND),
            *(second, self._split.size, self._split.plain_size),
        )
        annotations = {
            CHECKSUM: "sha256:" + self._contents.digest(),
            POSITION: ":".join(map(str, places[:4])),
            TAR_SPLIT: ":".join(map(str, places[4:])),
        }
        return annotations, self._frames(struct.pack("<7Q", *places) + _MAGIC)

    def _frames(self, footer: bytes) -> Iterator[bytes]:
        for document in (self._contents, self._split):
            yield _skippable(document.size)
            yield from document.parts()
        yield _skippable(len(footer)) + footer

    def close(self) -> None:
        self._contents.close()
        self._split.close()


class _Document:
    """What is written to it, compressed."""

    def __init__(self, chunking: Chunking) -> None:
        self._hash = hashlib.sha256()
        self._kept = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  # see close
        self._compressor = _compressor(chunking)
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self.size = self.plain_size = 0

    def add(self, data: bytes) -> None:
        self._waiting.append(data)
        self._waiting_size += len(data)
        if self._waiting_size >= _PIECE:
            self._compress()

    def end(self) -> None:
        self._compress()
        self._keep(self._compressor.flush())

    def _compress(self) -> None:
        self.plain_size += self._waiting_size
        self._keep(self._compressor.compress(b"".join(self._waiting)))
        self._waiting, self._waiting_size = [], 0

    def _keep(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += self._kept.write(data)

    def digest(self) -> str:
        """SHA-256 of what is compressed, in hex."""
        return self._hash.hexdigest()

    def parts(self) -> Iterator[bytes]:
        self._kept.seek(0)
        while part := self._kept.read(_PIECE):
            yield part

    def close(self) -> None:
        self._kept.close()


def _compressor(chunking: Chunking) -> zstandard.ZstdCompressionObj:
    return zstandard.ZstdCompressor(compression_params=_PARAMETERS[chunking]).compressobj()


def _skippable(size: int) -> bytes:
    return _SKIPPABLE + size.to_bytes(4, "little")


def _entry(entry: Entry) -> bytes:
    """An entry without the brace at its end."""
    match entry:
        case Directory(path, mode, uid, gid):
            name = b"./" if path == ROOT else path + b"/"
            return _row(b"dir", name, mode, uid=uid, gid=gid)
        case File(path, size, _, mode, uid, gid):
            return _row(b"reg", path, mode, uid=uid, gid=gid, size=size)
        case Symlink(path, target):
            return _row(b"symlink", path, 0o777, link=target)
        case HardLink(path, target, mode):
            return _row(b"hardlink", path, mode, link=target)
        case Whiteout(path):
            return _row(b"reg", path, 0o444)


def _row(
    kind: bytes,
    name: bytes,
    mode: int,
    *,
    link: bytes = b"",
    size: int = 0,
    uid: int = 0,
    gid: int = 0,
) -> bytes:
    numbers = ((b"mode", mode), (b"size", size), (b"uid", uid), (b"gid", gid))
    return b"".join(
        (
            b'{"type":"%s","name":%s' % (kind, _text(name)),
            b',"linkName":' + _text(link) if link else b"",
            *(b',"%s":%d' % each for each in numbers if each[1]),
            _TIME,
        )
    )


def _chunk(size: int, digest: bytes) -> bytes:
    return b',"chunkSize":%d,"chunkDigest":"sha256:%s"' % (size, digest.hex().encode())


def _text(name: bytes) -> bytes:
    return msgspec.json.encode(name.decode(errors="replace"))


def _is_text(entry: Entry) -> bool:
    names: Sequence[bytes] = (entry.path,)
    if isinstance(entry, Symlink | HardLink):
        names = (entry.path, entry.target)
    try:
        b"".join(names).decode()
    except UnicodeDecodeError:
        return False
    return True
