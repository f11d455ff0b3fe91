"""One layer: entries -> tar -> compressed blob, digest and diff ID in the one pass.

The tar is cut into blocks of a fixed size and each is compressed by itself (a gzip member, a zstd
frame), so all cores work and their number decides nothing. What is promised everywhere is the diff
ID; the compressed digest holds for one version of the compressor, which `compressor_version` names.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Executor, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from nix2oci.oci.spec import LAYER, LAYER_GZIP, LAYER_ZSTD, Digest
from nix2oci.oci.tar import tar_blocks
from nix2oci.plan.tree import Entry

_AHEAD = 6
"""Blocks of one layer that may wait for a compressor or the disk: bounds memory."""

_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952: deflate, no flags, no time, no extra flags, unknown operating system."""


class Compression(StrEnum):
    """How a layer is stored."""

    GZIP = "gzip"
    ZSTD = "zstd"
    NONE = "none"

    @property
    def media_type(self) -> str:
        return {"gzip": LAYER_GZIP, "zstd": LAYER_ZSTD, "none": LAYER}[self.value]


@dataclass(frozen=True, slots=True)
class Layer:
    """A written layer. `size` counts the bytes of the blob, `tar_size` those of the plain tar."""

    media_type: str
    digest: Digest
    size: int
    diff_id: Digest
    tar_size: int


def compressor_version(compression: Compression) -> str:
    """What, together with this program's version, decides compressed bytes: `deflate 0.9.0`."""
    from importlib.metadata import version  # noqa: PLC0415  # start-up counts

    package = {"gzip": "deflate", "zstd": "zstandard"}.get(compression.value)
    return f"{package} {version(package)}" if package else "none"


class Out(Protocol):
    """Where the bytes of a blob go: all of `data`, or an exception."""

    def write(self, data: bytes, /) -> int: ...


class Blob(Out, Protocol):
    """A blob on its way into an image."""

    def commit(self, digest: Digest, size: int) -> None: ...


class Blobs(Protocol):
    """A place that takes blobs, from several threads at once."""

    def new_blob(self) -> AbstractContextManager[Blob]: ...


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A layer to write; `entries` is read once, `weight` is about its size in bytes."""

    entries: Iterable[Entry]
    weight: int


def write_layers(
    layers: Sequence[Unwritten],
    compression: Compression,
    blobs: Blobs,
    cores: int,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Layer, ...]:
    """Write layers as blobs, several at a time, the heaviest first; answer in the order given.

    The first failure ends the other layers at their next block and is raised.
    """
    stop = threading.Event()

    def checked(done: int) -> None:
        if stop.is_set():
            raise CancelledError
        progress(done)

    def write(layer: Unwritten) -> Layer:
        with blobs.new_blob() as blob:
            written = write_layer(layer.entries, compression, blob, pool, checked)
            blob.commit(written.digest, written.size)
            return written

    heaviest_first = sorted(range(len(layers)), key=lambda i: -layers[i].weight)
    with ThreadPoolExecutor(cores) as pool, ThreadPoolExecutor(cores) as writers:
        try:
            futures = {i: writers.submit(write, layers[i]) for i in heaviest_first}
            finished = wait_for(futures.values(), return_when=FIRST_EXCEPTION).done
            for future in finished:
                future.result()
            return tuple(futures[i].result() for i in range(len(layers)))
        finally:
            stop.set()
            writers.shutdown(cancel_futures=True)


def write_layer(
    entries: Iterable[Entry],
    compression: Compression,
    out: Out,
    pool: Executor,
    progress: Callable[[int], None] = lambda _: None,
) -> Layer:
    """Write the blob of a layer to `out` and say what it is.

    Here the entries are read and put into tar; compressing runs in `pool`, and one more thread
    hashes and writes what is done. At most a few blocks are in memory. `progress` is told the
    bytes of tar that were read, a block at a time.
    """
    compress = _COMPRESS[compression]
    plain, packed = hashlib.sha256(), hashlib.sha256()
    tar_size = size = 0

    def seal(block: bytes, compressed: Future[bytes] | None) -> int:
        plain.update(block)
        if compressed is None:
            return out.write(block)
        data = compressed.result()
        packed.update(data)
        return out.write(data)

    sealed: deque[Future[int]] = deque()
    with ThreadPoolExecutor(1) as sealer:  # one thread, so blocks stay in order
        for block in tar_blocks(entries):
            sealed.append(sealer.submit(seal, block, compress and pool.submit(compress, block)))
            tar_size += len(block)
            progress(len(block))
            if len(sealed) > _AHEAD:
                size += sealed.popleft().result()
        size += sum(written.result() for written in sealed)
    diff_id = Digest("sha256:" + plain.hexdigest())
    digest = Digest("sha256:" + packed.hexdigest()) if compress else diff_id
    return Layer(compression.media_type, digest, size, diff_id, tar_size)


def _gzip(block: bytes) -> bytes:
    import deflate  # noqa: PLC0415  # only the compressor that is used gets loaded

    trailer = deflate.crc32(block).to_bytes(4, "little") + len(block).to_bytes(4, "little")
    return b"".join((_GZIP_HEADER, deflate.deflate_compress(block, 6), trailer))


def _zstd(block: bytes) -> bytes:
    import zstandard  # noqa: PLC0415  # see _gzip

    if not hasattr(_of_thread, "zstd"):
        _of_thread.zstd = zstandard.ZstdCompressor(level=3, write_checksum=True)
    packed: bytes = _of_thread.zstd.compress(block)
    return packed


_of_thread = threading.local()
"""A compressor is for one thread at a time, and its tables are worth keeping."""

_COMPRESS: dict[Compression, Callable[[bytes], bytes] | None] = {
    Compression.GZIP: _gzip,
    Compression.ZSTD: _zstd,
    Compression.NONE: None,
}
