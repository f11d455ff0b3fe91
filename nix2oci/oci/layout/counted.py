"""Blobs that tell how many of their bytes were read, for who waits."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from msgspec import Struct

from nix2oci.oci.layout.archive import Readable
from nix2oci.oci.layout.source import Blobs
from nix2oci.oci.spec import Digest

Done = Callable[[int], None]


class CountedBlobs(Struct, frozen=True):
    """The same blobs; `done` is told of bytes as they are read, by whichever thread does."""

    blobs: Blobs
    done: Done

    def size(self, digest: Digest) -> int | None:
        return self.blobs.size(digest)

    def open(self, digest: Digest) -> Readable:
        return _Counted(self.blobs.open(digest), self.done)


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
