"""One layer: entries -> tar -> compressed blob, digest and diff ID in the one pass.

The tar is cut into blocks of a fixed size and each is compressed by itself (a gzip member, a zstd
frame), so all cores work and their number decides nothing. What is promised everywhere is the diff
ID; the compressed digest holds for one version of the compressor, which `compressor_version` names.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field

from nix2oci.errors import ConfigError
from nix2oci.model.tree import Entry, File
from nix2oci.oci.layer.compression import Compression
from nix2oci.oci.layer.tar import FORMAT, tar_blocks
from nix2oci.oci.layer.threads import begin, in_order
from nix2oci.oci.spec import Descriptor, Digest

if TYPE_CHECKING:
    from concurrent.futures import Executor

_AHEAD = 3
"""Blocks of one layer that may wait for a compressor or the disk: bounds memory."""

_SLIM = " slim "

_Bytes = bytes | memoryview

_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952: deflate, no flags, no time, no extra flags, unknown operating system."""


class Layer(Struct, frozen=True):
    """A layer's blob, and the plain tar in it. Sizes are in bytes."""

    media_type: str
    digest: Digest
    size: int
    diff_id: Digest
    tar_size: int | None
    """None for a layer that was written elsewhere."""
    files: int = 0
    """How many regular files were read to write it just now."""
    slimmed: str = ""
    """The `SLIMMED` annotation, where rules left something out of its store paths."""
    checksum: int | None = None
    """That of the blob as it was written to a file, where one was made."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Those that its descriptor has wherever it is listed: where the blob's own table lies."""

    @property
    def descriptor(self) -> Descriptor:
        """Its blob, with where the table of that lies."""
        return Descriptor(self.media_type, self.digest, self.size, self.annotations)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layer):
            return NotImplemented
        return (self.media_type, self.digest, self.size, self.diff_id, self.tar_size) == (
            other.media_type,
            other.digest,
            other.size,
            other.diff_id,
            other.tar_size,
        ) and self.annotations == other.annotations

    def __hash__(self) -> int:
        return hash((self.media_type, self.digest, self.size, self.diff_id, self.tar_size))


_PACKAGES = {Compression.GZIP: "deflate", Compression.ZSTD: "zstandard"}
_PROBED = {
    Compression.GZIP: "c6a456d8",
    Compression.ZSTD: "569eeb09",
    Compression.CHUNKED_FINE: "09ba708e",
    Compression.CHUNKED_SMALL: "43f30ba5",
}
"""What the locked versions make of a probe, as `_probe` has it."""


@cache
def compressor_version(compression: Compression) -> str:
    """What, together with this program's version, decides compressed bytes: `deflate 0.9.0`.

    A distribution may build that package with another version of the C library in it, which the
    package does not tell. Where it gives other bytes, some of them are named: `deflate 0.9.0
    (gives 5ac0ffee)`. Raises `ConfigError` where the package is not installed.
    """
    from importlib import import_module  # noqa: PLC0415  # start-up counts

    if compression.codec not in _PACKAGES:
        return "none"
    package = _PACKAGES[compression.codec]
    other = next(one for one in _PACKAGES if one is not compression.codec)
    with _named(package, compression, other):
        given = _probe(compression)
        name = f"{package} {import_module(package).__version__}"
    if compression.chunking is not None:
        with _named("fastcrc", compression, Compression.ZSTD):
            import_module("fastcrc")
    return name if given == _PROBED[compression] else f"{name} (gives {given})"


@contextmanager
def _named(package: str, compression: Compression, other: Compression) -> Iterator[None]:
    """Say which package is missing, and what can be done without it."""
    try:
        yield
    except ImportError as err:
        raise ConfigError(
            f"cannot compress with {compression.asked}: Python has no package '{package}'",
            hint=f"install {package}, or --compression {other}",
        ) from err


def is_other_compressor(compression: Compression) -> bool:
    """Whether it gives other bytes than the versions that nix2oci is released with."""
    return compression in _PROBED and _probe(compression) != _PROBED[compression]


@cache
def _probe(compression: Compression) -> str:
    """Eight hex digits of what a compressor makes of a short block and a longer one."""
    words = [hashlib.sha256(b"%d" % n).hexdigest().encode() for n in range(97)]
    text = b"".join(b"%d %s\n" % (n, words[n % 97][: n % 23]) for n in range(1500))
    if compression.chunking is not None:
        from nix2oci.oci.layer.chunk_compressor import chunk_compressor  # noqa: PLC0415  # see _gzip

        packed = chunk_compressor(compression.chunking).compress
        return hashlib.sha256(packed(text[:1000]) + packed(text)).hexdigest()[:8]
    compress = _COMPRESS[compression]
    assert compress is not None
    return hashlib.sha256(compress(text[:1000]) + compress(text)).hexdigest()[:8]


def layer_form(compression: Compression, rules: str = "") -> str:
    """All but the store paths that decides a layer's bytes: `1 gzip deflate 0.9.0`.

    Where `rules` left something out of these, ` slim docs.1 dev.1` is behind that. A chunked layer
    has the form of its chunks as well: `1 zstd:chunked fine.2 zstandard 0.25.0`.
    """
    form = f"{FORMAT} {compression.form} {compressor_version(compression)}"
    return f"{form}{_SLIM}{rules}" if rules else form


def slim_rules(form: str) -> tuple[str, str]:
    """A layer form without the rules of slimming, and these; none is `""`."""
    plain, _, rules = form.partition(_SLIM)
    return plain, rules


class Out(Protocol):
    """Where the bytes of a blob go: all of `data`, or an exception."""

    def write(self, data: _Bytes, /) -> int: ...


def write_layer(
    entries: Iterable[Entry],
    compression: Compression,
    out: Out,
    pool: Executor | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Layer:
    """Write the blob of a layer to `out` and say what it is.

    In `pool`, where there is one, blocks are compressed; a thread beside it hashes the tar, and
    writes it where it is not compressed; all else is done here. A few blocks are in memory.
    `progress` is told the bytes of tar that were read, a block at a time. A layer that is
    chunked is for `chunked.write_chunked_layer`.
    """
    compress = _COMPRESS[compression]
    plain, packed = hashlib.sha256(), hashlib.sha256()
    waiting: deque[Callable[[], bytes]] = deque()
    taken: deque[Callable[[], None]] = deque()
    tar_size = size = files = 0

    def counted() -> Iterator[Entry]:
        nonlocal files
        for entry in entries:
            files += isinstance(entry, File)
            yield entry

    def take(block: memoryview) -> None:
        plain.update(block)
        if compress is None:
            out.write(block)

    def write(data: bytes) -> int:
        packed.update(data)
        return out.write(data)

    ahead = _AHEAD if pool else 0
    with in_order(pool) as hashing:
        for block in tar_blocks(counted(), reuse=ahead + 1):
            tar_size += len(block)
            taken.append(begin(hashing, take, block))
            if compress:
                waiting.append(begin(pool, compress, block))
            if len(taken) > ahead:
                taken.popleft()()
                size += write(waiting.popleft()()) if compress else 0
            progress(len(block))
        size += sum(write(compressed()) for compressed in waiting)
        for each in taken:
            each()
    diff_id = Digest("sha256:" + plain.hexdigest())
    digest = Digest("sha256:" + packed.hexdigest()) if compress else diff_id
    size = size if compress else tar_size
    return Layer(compression.media_type, digest, size, diff_id, tar_size, files)


def compressed(block: _Bytes, compression: Compression) -> bytes:
    """A block as it is in the blob of a layer, but for chunks."""
    compress = _COMPRESS[compression.codec]
    return compress(block) if compress else bytes(block)


def _gzip(block: _Bytes) -> bytes:
    import deflate  # noqa: PLC0415  # only the compressor that is used gets loaded

    trailer = deflate.crc32(block).to_bytes(4, "little") + len(block).to_bytes(4, "little")
    return b"".join((_GZIP_HEADER, deflate.deflate_compress(block, 6), trailer))


def _zstd(block: _Bytes) -> bytes:
    import zstandard  # noqa: PLC0415  # see _gzip

    if not hasattr(_of_thread, "zstd"):
        _of_thread.zstd = zstandard.ZstdCompressor(level=3, write_checksum=True)
    packed: bytes = _of_thread.zstd.compress(block)
    return packed


_of_thread = threading.local()
"""A compressor is for one thread at a time, and its tables are worth keeping."""

_COMPRESS: dict[Compression, Callable[[_Bytes], bytes] | None] = {
    Compression.GZIP: _gzip,
    Compression.ZSTD: _zstd,
    Compression.NONE: None,
}
