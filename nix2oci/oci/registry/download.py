"""An image of a registry as files: each blob comes once, however often it is read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import LayoutError, OutputError
from nix2oci.oci.layout.archive import Readable, chunks
from nix2oci.oci.layout.source import Blobs, ImageSource
from nix2oci.oci.spec import Descriptor, Digest

_AT_ONCE = 4

Fetching = Callable[[Descriptor], AbstractContextManager[Callable[[int], None]]]
"""What is done around the fetching of a layer; it hears of bytes as they come."""


class _Fetched(Struct, frozen=True):
    """Blobs as files of a directory, named by the hex digits of their digests."""

    where: str
    directory: str

    def path(self, digest: Digest) -> str:
        return os.path.join(self.directory, digest.hex)

    def size(self, digest: Digest) -> int | None:
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            return None

    def open(self, digest: Digest) -> BinaryIO:
        try:
            return open(self.path(digest), "rb", buffering=0)
        except OSError as err:
            raise OutputError(f"cannot read blob {digest} of {self.where}: {err.strerror}") from err


def fetch(source: ImageSource, directory: str, report_bytes: Callable[[int], None]) -> ImageSource:
    """The same image, of blobs that are in `directory` now; those that were there stay.

    `report_bytes` hears of bytes as they come, from several threads. Raises what reading the blobs
    does, `LayoutError` for a blob longer than the manifest says, and `OutputError`.
    """
    here = _Fetched(source.where, directory)
    found = (source.descriptor, source.config_descriptor(), *source.layers())
    missing = {each.digest: each for each in found if here.size(each.digest) is None}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(partial(_fetch, source, here, report_bytes), missing.values()))
    return replace(source, blobs=here)


class _OnDemand(Struct, frozen=True):
    """Blobs of which layers become files when they are first read."""

    remote: ImageSource
    here: _Fetched
    layers: Mapping[Digest, Descriptor]
    fetching: Fetching

    def size(self, digest: Digest) -> int | None:
        return self.remote.blobs.size(digest)

    def open(self, digest: Digest) -> Readable:
        layer = self.layers.get(digest)
        if layer is None:
            return self.remote.blobs.open(digest)
        if self.here.size(digest) is None:
            with self.fetching(layer) as report_bytes:
                _fetch(self.remote, self.here, report_bytes, layer)
        return self.here.open(digest)


def on_demand(source: ImageSource, directory: str, fetching: Fetching) -> ImageSource:
    """The same image, of which a layer comes into `directory` when it is first read.

    Reading one raises what `fetch` does.
    """
    layers = {layer.digest: layer for layer in source.layers()}
    blobs: Blobs = _OnDemand(source, _Fetched(source.where, directory), layers, fetching)
    return replace(source, blobs=blobs)


def _fetch(
    source: ImageSource, here: _Fetched, report_bytes: Callable[[int], None], blob: Descriptor
) -> None:
    left = blob.size
    try:
        with (
            tempfile.NamedTemporaryFile(dir=here.directory, delete=False) as file,
            source.blobs.open(blob.digest) as remote,
        ):
            for chunk in chunks(remote):
                left -= len(chunk)
                if left < 0:
                    raise LayoutError(
                        f"cannot read image at {source.where}: blob {blob.digest} is longer "
                        f"than the {blob.size} bytes that are said of it"
                    )
                file.write(chunk)
                report_bytes(len(chunk))
        os.rename(file.name, here.path(blob.digest))
    except OSError as err:
        raise OutputError(f"cannot keep {source.where}: {err.strerror}") from err
