"""A directory that `write_layers` puts blobs into, and a layer that never ends."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from nix2oci.errors import OutputError
from nix2oci.model.tree import Entry, File
from nix2oci.oci.layer.tar import BLOCK
from nix2oci.oci.spec import Digest


@dataclass
class Blobs:
    """A directory of blobs; with `full`, no more than so many bytes go into each."""

    directory: Path
    full: int | None = None
    number: int = 0

    @contextmanager
    def new_blob(self, *, summed: bool = False) -> Iterator[Blob]:  # noqa: ARG002
        self.number += 1
        blob = Blob(self, self.directory / f"new-{os.getpid()}-{self.number}")
        try:
            yield blob
        finally:
            blob.path.unlink(missing_ok=True)

    def committed(self) -> set[str]:
        return {path.name for path in self.directory.iterdir() if not path.name.startswith("new")}


class Blob:
    checksum: int | None = None

    def __init__(self, blobs: Blobs, path: Path) -> None:
        self.blobs = blobs
        self.path = path
        self.path.touch()

    def write(self, data: bytes | memoryview, /) -> int:
        with self.path.open("ab") as file:
            if self.blobs.full is not None and file.tell() + len(data) > self.blobs.full:
                raise OutputError(f"cannot write it: {os.strerror(errno.ENOSPC)}")
            return file.write(data)

    def commit(self, digest: Digest, size: int) -> None:
        data = self.path.read_bytes()
        assert (digest.hex, size) == (hashlib.sha256(data).hexdigest(), len(data))
        self.path.rename(self.blobs.directory / digest.hex)


def endless() -> Iterator[Entry]:
    """A layer that ends only when its worker is ended."""
    for number in count():
        yield File(b"%d" % number, BLOCK, (bytes(BLOCK),))
