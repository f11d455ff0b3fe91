"""A layer as it streams by: how `inspect`, `validate`, `why` and `diff` read it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain

from nix2oci.errors import LayoutError
from nix2oci.oci.layer.unpack import UnpackError, compression_of, unpacked
from nix2oci.oci.layer.untar import Member, TarError, TarReader
from nix2oci.oci.layout.archive import Readable, chunks
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import Descriptor, Digest

Unpack = Callable[[Iterable[bytes]], Iterator[bytes]]


class Hashed:
    """Chunks that are hashed as they are taken."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._hash = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self._hash.update(chunk)
        return chunk

    def digest(self) -> Digest:
        """The digest of all, the rest of which is taken for it."""
        for _ in self:
            pass
        return Digest("sha256:" + self._hash.hexdigest())


class LayerStream:
    """The blob of a layer and the plain tar in it, both hashed; unpacked by what its bytes say.

    It ends one byte after the size that is said of it, so that one without end has another digest.
    """

    def __init__(self, blob: Readable, size: int, frames: Unpack | None = None) -> None:
        """`frames` unpacks what is zstd."""
        self.packed = Hashed(chunks(blob, size + 1))
        head = next(self.packed, b"")
        self.compression = compression_of(head)
        packed = chain([head], self.packed)
        if frames is None or self.compression != "zstd":
            frames = partial(unpacked, compression=self.compression)
        self.plain = Hashed(frames(packed))
        """Raises `UnpackError` where the compressed data is wrong."""

    def members(self) -> Iterator[tuple[Member, TarReader]]:
        """Each member, and the reader that has its content; `TarError`, `UnpackError`."""
        reader = TarReader(self.plain)
        for member in reader:
            yield member, reader


@contextmanager
def open_layer(source: ImageSource, layer: Descriptor) -> Iterator[LayerStream]:
    """A layer to be read in the block, at the end of which its digest is checked.

    Raises `LayoutError` where it cannot be read to its end, or is another layer than the manifest
    has, and `OutputError` where the blob is missing.
    """
    with source.blobs.open(layer.digest) as blob:
        stream = LayerStream(blob, layer.size)
        try:
            yield stream
            digest = stream.packed.digest()
        except (TarError, UnpackError) as err:
            raise unreadable(source, layer, str(err)) from err
    if digest != layer.digest:
        raise unreadable(source, layer, f"blob {layer.digest} has digest {digest}")


def unreadable(source: ImageSource, layer: Descriptor, cause: str) -> LayoutError:
    """What the user is told of a layer that is damaged."""
    return LayoutError(
        f"cannot read layer {layer.digest} of {source.where}: {cause}",
        hint=f"see all that is wrong with it: nix2oci validate {source.where}",
    )
