"""Blobs that tell how many of their bytes were read, for who waits."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.oci.layout.archive import Readable
from nix2oci.oci.layout.source import Blobs, ImageSource
from nix2oci.oci.spec import Digest

Done = Callable[[int], None]


class CountedBlobs(Struct, frozen=True):
    """The same blobs; `done` is told of bytes as they are read, by whichever thread does.

    Those of blobs in `waiting` count, each the first time that it is read.
    """

    blobs: Blobs
    done: Done
    waiting: set[Digest]

    @classmethod
    def of(cls, image: ImageSource, done: Done) -> ImageSource:
        """An image whose layers are counted; raises what its manifest does."""
        layers = {layer.digest for layer in image.layers()}
        return replace(image, blobs=cls(image.blobs, done, layers))

    def size(self, digest: Digest) -> int | None:
        return self.blobs.size(digest)

    def open(self, digest: Digest) -> Readable:
        file = self.blobs.open(digest)
        if digest not in self.waiting:
            return file
        self.waiting.discard(digest)
        return _Counted(file, self.done)


class _Counted(Struct, frozen=True):
    file: Readable
    done: Done

    def read(self, size: int = -1, /) -> bytes:
        data = self.file.read(size)
        self.done(len(data))
        return data

    def close(self) -> None:
        self.file.close()

    def __enter__(self) -> Self:
        self.file.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self.file.__exit__(kind, error, trace)
