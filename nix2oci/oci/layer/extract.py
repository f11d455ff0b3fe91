"""Some files of a layer, for whoever has to know what is in them."""

from __future__ import annotations

from collections.abc import Container

from nix2oci.oci.layer.stream import LayerStream
from nix2oci.oci.layer.unpack import UnpackError
from nix2oci.oci.layer.untar import FILE, TarError
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import Descriptor


def small_files(
    source: ImageSource, layer: Descriptor, wanted: Container[bytes], most: int = 2 << 20
) -> dict[bytes, bytes]:
    """The content of regular files of at most so many bytes, by path relative to the root.

    A layer that cannot be read to its end gives what came before. Raises `OutputError` where the
    blob is missing.
    """
    found: dict[bytes, bytes] = {}
    with source.blobs.open(layer.digest) as file:
        try:
            for member, reader in LayerStream(file).members():
                if member.kind == FILE and member.size <= most and member.path in wanted:
                    found[member.path] = b"".join(reader.content())
        except (TarError, UnpackError):
            pass  # `validate` says so
    return found
