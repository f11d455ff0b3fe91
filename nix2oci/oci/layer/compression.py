"""How a layer can be stored, and how those of an image are to be."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from nix2oci.oci.media_types import COMPRESSIONS
from nix2oci.oci.spec import LAYER, LAYER_GZIP, LAYER_ZSTD, Digest

CHUNKED = "zstd:chunked"
CHUNKED_FORM = 2
"""Goes up with every change of the bytes of a chunked layer that are made of the same tar."""

CHECKSUM = "io.github.containers.zstd-chunked.manifest-checksum"
POSITION = "io.github.containers.zstd-chunked.manifest-position"
TAR_SPLIT = "io.github.containers.zstd-chunked.tarsplit-position"
TABLE_ANNOTATIONS: Mapping[str, str] = {
    CHECKSUM: r"sha256:[0-9a-f]{64}",
    POSITION: r"(?:[0-9]{1,19}:){3}1",
    TAR_SPLIT: r"(?:[0-9]{1,19}:){2}[0-9]{1,19}",
}
"""What the descriptor of a chunked layer has, without which no client looks for the table."""


class Chunking(StrEnum):
    """What a chunked layer may cost; the chunks are the same."""

    FINE = "fine"
    """Little time."""
    SMALL = "small"
    """Little size: what is compressed harder takes longer."""


class Compression(StrEnum):
    """How a layer is stored: with the version of the compressor, all that makes its blob."""

    GZIP = "gzip"
    ZSTD = "zstd"
    CHUNKED_FINE = "zstd:chunked fine"
    CHUNKED_SMALL = "zstd:chunked small"
    NONE = "none"

    @property
    def media_type(self) -> str:
        return {"gzip": LAYER_GZIP, "zstd": LAYER_ZSTD, "none": LAYER}[self.codec]

    @property
    def codec(self) -> Compression:
        """What compresses: a chunked layer is one of zstd."""
        return self if self.chunking is None else Compression.ZSTD

    @property
    def asked(self) -> str:
        """As a user asks for it, and as `stored_as` says it."""
        return self.value if self.chunking is None else CHUNKED

    @property
    def form(self) -> str:
        """What of this decides bytes, beside the version of the compressor."""
        if self.chunking is None:
            return self.value
        return f"{CHUNKED} {self.chunking}.{CHUNKED_FORM}"

    @property
    def chunking(self) -> Chunking | None:
        """That of a chunked layer."""
        return _CHUNKINGS.get(self)


_CHUNKINGS = {
    Compression.CHUNKED_FINE: Chunking.FINE,
    Compression.CHUNKED_SMALL: Chunking.SMALL,
}


def stored_as(media_type: str, annotations: Mapping[str, str]) -> str | None:
    """How a layer is stored, by what its descriptor says; None for a type that is no layer's."""
    codec = COMPRESSIONS.get(media_type)
    is_chunked = codec == Compression.ZSTD and POSITION in annotations
    return CHUNKED if is_chunked else codec


StoreLayer = tuple[Digest, Compression]
"""Decides the bytes of a store layer: the `contents_key` of what is in it, and how it is stored."""


class Compressions(Struct, frozen=True):
    """How the layers of one image are stored."""

    settled: Compression
    """Those that are seldom pulled again."""
    moving: Compression
    """Those of which a client is expected to have an older version."""

    @classmethod
    def of(cls, mode: str, chunking: str) -> Compressions:
        """As a user asks for them: one of all layers, or `auto`."""
        chunked = Compression(f"{CHUNKED} {chunking}")
        if mode == "auto":
            return cls(Compression.ZSTD, chunked)
        one = chunked if mode == CHUNKED else Compression(mode)
        return cls(one, one)

    @property
    def all(self) -> tuple[Compression, ...]:
        """Each once."""
        return tuple(dict.fromkeys((self.settled, self.moving)))

    @property
    def has_zstd(self) -> bool:
        """Whether a client has to know zstd."""
        return self.settled.codec is Compression.ZSTD
