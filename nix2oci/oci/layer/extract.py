"""Some files of a layer, for whoever has to know what is in them."""

from __future__ import annotations

from collections.abc import Container, Mapping

from nix2oci.oci.layer.stream import LayerStream
from nix2oci.oci.layer.unpack import UnpackError
from nix2oci.oci.layer.untar import FILE, HARDLINK, TarError, normal
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import Descriptor

_MAX_LINKS = 4
"""How often a hard link may lead to another one."""


def small_files(
    source: ImageSource, layer: Descriptor, wanted: Container[bytes], most: int = 2 << 20
) -> dict[bytes, bytes]:
    """The content of regular files of at most so many bytes, by path relative to the root.

    A hard link within the layer has the content of what it links to.

    A layer that cannot be read to its end gives what came before. Raises `OutputError` where the
    blob is missing.
    """
    found, links = _read(source, layer, wanted, most)
    for _ in range(_MAX_LINKS):
        missing = {_end(links, path) for path in links} - found.keys()
        if not missing:
            break
        more, deeper = _read(source, layer, missing, most)
        found, links = found | more, links | deeper
    found |= {path: found[end] for path in links if (end := _end(links, path)) in found}
    return {path: data for path, data in found.items() if path in wanted}


def _end(links: Mapping[bytes, bytes], path: bytes) -> bytes:
    """Where a hard link to what may be another one ends."""
    for _ in range(_MAX_LINKS + 1):
        path = links.get(path, path)
    return path


def _read(
    source: ImageSource, layer: Descriptor, wanted: Container[bytes], most: int
) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """The wanted files of a layer, and those that are hard links, with what they link to."""
    found: dict[bytes, bytes] = {}
    links: dict[bytes, bytes] = {}
    with source.blobs.open(layer.digest) as file:
        try:
            for member, reader in LayerStream(file, layer.size).members():
                if member.kind == HARDLINK and member.path in wanted:
                    target = normal(member.link)
                    links[member.path] = links.get(target, target)
                elif member.kind == FILE and member.size <= most and member.path in wanted:
                    found[member.path] = b"".join(reader.content())
        except (TarError, UnpackError):
            pass  # `validate` says so
    return found, links
