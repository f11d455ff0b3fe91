"""Small files come out of a layer, however it is compressed and whatever else is in it."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from io import BytesIO

import pytest
import zstandard
from support.smallimage import entry, tar

from nix2oci.oci.layer.extract import small_files
from nix2oci.oci.layout.archive import Readable
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import LAYER, Descriptor, Digest

FILES = {"a": b"one", "d/b": b"two" * 1000, "c": b""}


class OneBlob:
    """A place that has one blob, under every digest."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def size(self, digest: Digest) -> int | None:  # noqa: ARG002
        return len(self.data)

    def open(self, digest: Digest) -> Readable:  # noqa: ARG002
        return BytesIO(self.data)


def read(data: bytes, *wanted: bytes, most: int = 1 << 20) -> dict[bytes, bytes]:
    layer = Descriptor(LAYER, Digest("sha256:" + hashlib.sha256(data).hexdigest()), len(data))
    return small_files(ImageSource("x", layer, OneBlob(data)), layer, wanted, most)


def layer_of(**files: bytes) -> bytes:
    return tar(*(entry(name, data) for name, data in (FILES | files).items()))


@pytest.mark.parametrize(
    "pack",
    [
        pytest.param(bytes, id="plain"),
        pytest.param(gzip.compress, id="gzip"),
        pytest.param(zstandard.compress, id="zstd"),
    ],
)
def test_files_are_read_from_any_layer(pack: Callable[[bytes], bytes]) -> None:
    found = read(pack(layer_of()), b"a", b"d/b", b"missing")
    assert found == {b"a": b"one", b"d/b": b"two" * 1000}


def test_large_files_are_left_out() -> None:
    assert read(layer_of(), b"a", b"d/b", most=3) == {b"a": b"one"}


def test_a_layer_that_breaks_off_gives_what_came_before() -> None:
    data = layer_of()
    assert read(data[:1300], b"a", b"d/b") == {b"a": b"one"}
    assert read(gzip.compress(data)[:-9], b"a")[b"a"] == b"one"
    assert read(b"", b"a") == {}
