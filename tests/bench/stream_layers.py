"""dockerTools' way, written anew from its description: layers as one stream, by Python's tarfile.

    python stream_layers.py LAYERS > ARCHIVE

LAYERS is JSON, a list of lists of store paths. Each layer is made twice: once for its digest, by
which it is named, and once more into the stream, since nothing is kept in between.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing_extensions import Buffer


class _Checksum(io.BytesIO):
    """A file that keeps nothing of what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.hash, self.size = hashlib.sha256(), 0

    def write(self, data: Buffer, /) -> int:
        self.hash.update(data)
        self.size += memoryview(data).nbytes
        return memoryview(data).nbytes


def _files(paths: Sequence[str]) -> Iterator[Path]:
    for path in map(Path, paths):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from sorted(path.rglob("*"))


def _write_layer(out: BinaryIO, paths: Sequence[str]) -> None:
    with tarfile.open(fileobj=out, mode="w|") as tar:
        for file in _files(paths):
            info = tar.gettarinfo(file)
            info.mtime, info.uid, info.gid, info.uname, info.gname = 1, 0, 0, "root", "root"
            if info.isfile():
                with file.open("rb") as content:
                    tar.addfile(info, content)
            else:
                tar.addfile(info)


def _made_again(paths: Sequence[str]) -> BinaryIO:
    """A pipe that a thread writes the layer to."""
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb") as out:
            _write_layer(out, paths)

    threading.Thread(target=write, daemon=True).start()
    return os.fdopen(reader, "rb")


def main() -> None:
    layers = json.loads(Path(sys.argv[1]).read_text())
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
        for paths in layers:
            checksum = _Checksum()
            _write_layer(checksum, paths)
            info = tarfile.TarInfo(f"{checksum.hash.hexdigest()}/layer.tar")
            info.size = checksum.size
            with _made_again(paths) as layer:
                tar.addfile(info, layer)


main()
