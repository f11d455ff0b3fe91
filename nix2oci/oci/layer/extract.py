"""Some files of a layer, for whoever has to know what is in them."""

from __future__ import annotations

from collections.abc import Container
from itertools import chain

from nix2oci.oci.layer.unpack import UnpackError, compression_of, unpacked
from nix2oci.oci.layer.untar import FILE, TarError, TarReader
from nix2oci.oci.layout.archive import chunks
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
        pieces = chunks(file)
        head = next(pieces, b"")
        reader = TarReader(unpacked(chain([head], pieces), compression_of(head)))
        try:
            for member in reader:
                if member.kind == FILE and member.size <= most and member.path in wanted:
                    found[member.path] = b"".join(reader.content())
        except (TarError, UnpackError):
            pass  # `validate` says so
    return found
