"""Images that are wrong in one way, and what the validator says of them."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard
from support.smallimage import (
    STORE_LAYER,
    VIEW_ENTRIES,
    VIEW_LAYER,
    Json,
    Layer,
    SmallImage,
    packed,
    tar,
)

from nix2oci.oci.validate.check_image import validate_layout


def findings(image: SmallImage, root: Path) -> list[str]:
    """What is found, digests shortened to those parts that a test can know."""
    found = "\n".join(str(one) for one in validate_layout(str(image.write(root)), 1))
    found = re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", found.replace(str(root), "IMAGE"))
    return re.sub(r"\b(has|says) \d{3,}", r"\1 …", found).splitlines()


def setting(*keys: str | int, to: Any) -> Callable[[Json], None]:
    """An edit that puts a value at a place in a document."""

    def edit(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = to

    return edit


def without(*keys: str | int) -> Callable[[Json], None]:
    """An edit that removes what is at a place in a document."""

    def edit(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        del document[keys[-1]]

    return edit


def view(*entries: tuple[tarfile.TarInfo, bytes]) -> SmallImage:
    """A good image with more entries in its last layer."""
    return SmallImage([STORE_LAYER, Layer(tar(*VIEW_ENTRIES, *entries))])


def plain_view(spoil: Callable[[bytes], bytes]) -> SmallImage:
    """A good image whose last layer's plain tar is spoiled; its diff ID is that of the result."""
    return SmallImage([STORE_LAYER, Layer(spoil(VIEW_LAYER.plain))])


def packed_view(
    spoil: Callable[[bytes], bytes], pack: Callable[[bytes], bytes] = packed
) -> SmallImage:
    """A good image whose last layer's compressed bytes are spoiled."""
    suffix = "+gzip" if pack is packed else "+zstd"
    layer = Layer(VIEW_LAYER.plain, lambda plain: spoil(pack(plain)), suffix)
    return SmallImage([STORE_LAYER, layer])


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def in_two(pack: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda data: pack(data[:1000]) + pack(data[1000:])
