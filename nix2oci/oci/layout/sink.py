"""A place for an image of which nothing is kept but its documents: its layers are only hashed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

from nix2oci.host.scratch import temporary_directory
from nix2oci.oci.layout.staging import StagedBlob, Workspace
from nix2oci.oci.layout.writer import Staging
from nix2oci.oci.spec import Digest


class _Counted(StagedBlob):
    """A blob whose bytes go nowhere; what is committed is a hole of its size."""

    def write(self, data: bytes | memoryview, /) -> int:
        self.size += len(data)
        return len(data)

    def commit(self, digest: Digest, size: int) -> None:
        with self._workspace.reported():
            os.truncate(self._path, size)
        super().commit(digest, size)


class _Sink(Workspace):
    """Takes layers from several processes at once, as any other place does."""

    def __init__(self, directory: str, what: str) -> None:
        super().__init__(directory, what)
        self._count = itertools.count()

    def _next(self) -> str:
        return os.path.join(self.directory, f"sink-{os.getpid()}-{next(self._count)}")

    def new_blob(self, *, summed: bool = False) -> StagedBlob:  # noqa: ARG002  # nobody reads it
        return _Counted(self, self._next())

    def add(self, data: bytes) -> Digest:
        """A document is kept: it is read again."""
        digest = Digest.of(data)
        with StagedBlob(self, self._next()) as blob:
            blob.write(data)
            blob.commit(digest, len(data))
        return digest


@contextmanager
def hashing() -> Iterator[Staging]:
    """A staging that writes no layer, and makes no image appear anywhere."""
    with temporary_directory() as directory:
        yield Staging(_Sink(directory, "rebuilt image"), lambda *_: None)
