"""What the document says that a manifest names: an image is known by it without its layers."""

from __future__ import annotations

from nix2oci.compare.difference import Contents as Compared
from nix2oci.compare.inputs import Reasons, contents_of, reasons_of
from nix2oci.errors import LayoutError
from nix2oci.model.annotation_keys import CONTENTS
from nix2oci.oci.layer.file_scan import Merged, hash_part_of
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import Digest
from nix2oci.trust.contents import Contents

_MOST = 128 << 20
"""Bytes of a document that is believed to be one."""


def contents_named_by(source: ImageSource) -> Contents | None:
    """The document of what is in an image; None where its manifest names none.

    It is as good as the manifest, which has its digest. Raises `RegistryError`, `OutputError` and
    `LayoutError` where it is not to be had, or says nothing of these layers.
    """
    said = source.manifest().annotations.get(CONTENTS)
    if said is None:
        return None
    digest = Digest.parse(said)
    with source.blobs.open(digest) as file:
        data = file.read(_MOST)
    if Digest.of(data) != digest:
        raise LayoutError(f"cannot read {source.where}: blob {digest} has other bytes")
    found = Contents.read(data, f"blob {digest} of {source.where}")
    if not found.is_about(layer.digest for layer in source.layers()):
        raise LayoutError(f"cannot use blob {digest} of {source.where}: it is about other layers")
    return found


def described_contents(source: ImageSource, contents: Contents) -> Compared:
    """As `image_contents`."""
    sizes = {path: each.nar_size for path, each in contents.paths.items()}
    return contents_of(source, sizes, [each.paths for each in contents.layers])


def described_reasons(source: ImageSource, contents: Contents) -> Reasons:
    """As `image_reasons`; which files hold a reference is not known."""
    found = Merged(
        {path: each.nar_size for path, each in contents.paths.items()},
        {
            path: {hash_part_of(other): () for other in each.references}
            for path, each in contents.paths.items()
        },
        {
            hash_part_of(path): tuple(map(str.encode, files))
            for path, files in contents.outside.items()
        },
    )
    by_layer = [each.paths for each in contents.layers]
    return reasons_of(source, found, by_layer, knows_files=False)
