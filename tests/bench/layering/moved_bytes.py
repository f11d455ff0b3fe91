"""Bytes that a client moves from one version of an image to the next, by four schemes.

Whole layers are what Docker and containerd pull; whole files and chunks are taken out of a layer by
a table, of which the client has the older content. Sizes are of what is compressed, at the level
that images have by default. With a layer of which anything is missing its table moves as well. Not
counted: manifests, headers of HTTP, and gaps of less than a kibibyte that podman fetches rather
than ask twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from nix2oci.model.tree import Entry, File
from nix2oci.oci.layer.blob import compressed
from nix2oci.oci.layer.chunk_borders import chunks
from nix2oci.oci.layer.compression import Chunking, Compression
from nix2oci.oci.layer.table_of_contents import Content, Table
from nix2oci.oci.layer.tar import entry_header, tar_blocks

FIXED = 64 << 10
"""Bytes of a chunk where borders do not follow content, as in many stores."""

Cut = Callable[[bytes], Iterable[bytes | memoryview]]
"""The content of a file, which is not empty, in chunks."""


def _fixed(content: bytes) -> Iterable[bytes]:
    return (content[start : start + FIXED] for start in range(0, len(content), FIXED))


CUTS: Mapping[str, Cut] = {
    "files": lambda content: (content,),
    "fixed chunks": _fixed,
    "ours": lambda content: chunks((content,), len(content)),
}
"""Schemes that take parts of layers."""
SCHEMES = ("layers", *CUTS)


@dataclass(frozen=True, slots=True)
class FileParts:
    """A file as it is found again: as a whole, or by its chunks."""

    digest: bytes
    chunks: Sequence[tuple[bytes, int]]
    """The digest of each, and how many bytes it moves as."""


@dataclass(frozen=True, slots=True)
class LayerParts:
    """A layer as each scheme moves it."""

    digest: bytes
    """Of the tar."""
    size: int
    """Of the blob in plain zstd."""
    tables: Mapping[str, int]
    """Sizes of tables by scheme."""
    files: Mapping[str, Sequence[FileParts]]


def layer_parts(entries: Iterable[Entry]) -> LayerParts:
    """The parts of a layer; entries are read once, and each file's content is in memory."""
    digest, size = hashlib.sha256(), 0
    tables = {scheme: Table(Chunking.FINE) for scheme in CUTS}
    files: dict[str, list[FileParts]] = {scheme: [] for scheme in CUTS}

    def taken() -> Iterable[Entry]:
        for entry in entries:
            content = b"".join(entry.chunks) if isinstance(entry, File) else b""
            for scheme, cut in CUTS.items():
                tables[scheme].add_members([(entry_header(entry), entry)])
                if content and isinstance(entry, File):
                    files[scheme].append(_file_parts(entry, content, cut, tables[scheme]))
            yield _with_content(entry, content)

    for block in tar_blocks(taken()):
        digest.update(block)
        size += len(compressed(block, Compression.ZSTD))
    sizes = {scheme: sum(map(len, table.end(0)[1])) for scheme, table in tables.items()}
    for table in tables.values():
        table.close()
    return LayerParts(digest.digest(), size, sizes, files)


def _with_content(entry: Entry, content: bytes) -> Entry:
    if not isinstance(entry, File):
        return entry
    return File(entry.path, entry.size, (content,), entry.mode, entry.uid, entry.gid)


def _file_parts(file: File, content: bytes, cut: Cut, table: Table) -> FileParts:
    whole = hashlib.sha256(content).digest()
    parts: list[tuple[bytes, int]] = []
    offset, left = 1, len(content)
    for piece in cut(content):
        digest = hashlib.sha256(piece).digest()
        size = len(compressed(bytes(piece), Compression.ZSTD))
        parts.append((digest, size))
        left -= len(piece)
        known = None if left else Content(file, whole, int.from_bytes(whole[:8]))
        table.add_chunk(offset, size, len(piece), digest, known)
        offset += size
    return FileParts(whole, parts)


def moved_bytes(old: Sequence[LayerParts], new: Sequence[LayerParts]) -> dict[str, int]:
    """How many bytes a client that has `old` moves for `new`, by `SCHEMES`."""
    layers = {layer.digest for layer in old}
    missing = [layer for layer in new if layer.digest not in layers]
    moved = {"layers": sum(layer.size for layer in missing)}
    for scheme in CUTS:
        files = [file for layer in old for file in layer.files[scheme]]
        there = {file.digest for file in files} | {
            digest for file in files for digest, _ in file.chunks
        }
        moved[scheme] = sum(
            layer.tables[scheme] + sum(_missing(file, there) for file in layer.files[scheme])
            for layer in missing
        )
    return moved


def _missing(file: FileParts, there: set[bytes]) -> int:
    if file.digest in there:
        return 0
    return sum(size for digest, size in file.chunks if digest not in there)
