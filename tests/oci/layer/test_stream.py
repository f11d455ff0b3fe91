"""A layer is read to the size that is said of it, and not further."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from support.smallimage import SmallImage

from nix2oci.errors import LayoutError
from nix2oci.oci.layer.stream import LayerStream, open_layer
from nix2oci.oci.layout.source import open_image


class Endless(io.RawIOBase):
    """A registry that never stops sending."""

    sent = 0

    def read(self, size: int = -1, /) -> bytes:
        assert size >= 0, "all of it was asked for"
        self.sent += size
        return bytes(size)


def test_a_blob_without_end_ends_a_byte_after_its_size() -> None:
    blob = Endless()
    assert sum(map(len, LayerStream(blob, 100).plain)) == 101
    assert blob.sent == 101


def test_a_layer_with_bytes_behind_it_is_another(tmp_path: Path) -> None:
    source = open_image(str(SmallImage().write(tmp_path / "image")))
    layer = source.layers()[0]
    path = tmp_path / "image/blobs/sha256" / layer.digest.hex
    path.write_bytes(path.read_bytes() + b"\0" * (1 << 20))
    with (
        pytest.raises(LayoutError, match="cannot read layer"),
        open_layer(source, layer) as stream,
    ):
        assert sum(map(len, stream.plain))
