"""What can be wrong with a manifest that is no image: a blob that is missing, or is another one."""

from __future__ import annotations

from collections.abc import Iterator

from nix2oci.errors import LayoutError
from nix2oci.oci.artifacts import blobs_of
from nix2oci.oci.layer.stream import Hashed
from nix2oci.oci.layout.archive import chunks
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import Descriptor
from nix2oci.oci.validate.check_documents import check_size
from nix2oci.oci.validate.finding import Finding


def check_artifact(source: ImageSource) -> Iterator[Finding]:
    """Every finding of an artifact; what is in it is not looked at."""
    where = f"artifact {source.descriptor.digest}"
    try:
        blobs = (source.descriptor, *blobs_of(source))
    except LayoutError as err:
        yield Finding("manifest", where, str(err))
        blobs = (source.descriptor,)
    for blob in {blob.digest: blob for blob in blobs}.values():
        yield from _check_blob(source, blob, where)


def _check_blob(source: ImageSource, blob: Descriptor, where: str) -> Iterator[Finding]:
    size = source.blobs.size(blob.digest)
    if size is None:
        yield Finding("blob-missing", where, f"there is no blob {blob.digest}")
        return
    yield from check_size(where, blob, size)
    with source.blobs.open(blob.digest) as file:
        digest = Hashed(chunks(file, blob.size + 1)).digest()
    if digest != blob.digest:
        yield Finding("blob-digest", where, f"blob {blob.digest} has digest {digest}")
