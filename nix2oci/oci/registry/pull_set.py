"""Pulling: an image or an index out of a registry, every byte of it as it is there.

What it consists of depends on its digest alone: what refers to it (signatures, attestations) may be
another thing tomorrow, and stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Event

from msgspec import Struct

from nix2oci.errors import ConfigError, LayoutError
from nix2oci.host.http.retry import CancelledError
from nix2oci.oci.layout.archive import chunks
from nix2oci.oci.layout.source import Layout
from nix2oci.oci.layout.writer import Staging
from nix2oci.oci.media_types import INDEX_TYPES, MANIFEST_TYPES
from nix2oci.oci.registry.image_documents import Document, blobs_behind, documents_of
from nix2oci.oci.registry.parallel import run_all
from nix2oci.oci.spec import Descriptor, Platform

_AT_ONCE = 4


class PullSet(Struct, frozen=True):
    """All that is to be pulled."""

    layout: Layout
    named: Descriptor
    """Of the manifest or index that the reference names."""
    chosen: Descriptor
    """The same, or the manifest of one platform in it."""
    documents: tuple[Document, ...]
    """The chosen one last."""
    blobs: tuple[Descriptor, ...]
    """Layers before configurations, each digest once."""

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs)


def read_pull_set(layout: Layout, platform: Platform | None = None) -> PullSet:
    """What there is to pull of an image in a registry: all of its platforms, or one.

    Raises `ConfigError` where it has no image for the platform, `LayoutError` where it is broken,
    `RegistryError`.
    """
    (named,) = layout.entries()
    chosen = _of_platform(layout, named, platform) if platform else named
    documents = _documents(layout, chosen)
    for found in (each.descriptor for each in documents):
        if found.media_type not in INDEX_TYPES | MANIFEST_TYPES:
            raise LayoutError(
                f"cannot read image at {layout.where}: {found.digest} is no manifest, "
                f"it is '{found.media_type}'"
            )
    return PullSet(layout, named, chosen, documents, blobs_behind(documents))


def _documents(layout: Layout, chosen: Descriptor) -> tuple[Document, ...]:
    try:
        return tuple(documents_of(layout, chosen, set(), f"read image at {layout.where}"))
    except LayoutError as err:
        if chosen.media_type in INDEX_TYPES:
            err.hint = err.hint or "take one platform of it: --platform OS/ARCH"
        raise


def _of_platform(layout: Layout, named: Descriptor, platform: Platform) -> Descriptor:
    image = layout.image(platform=platform)
    if named.media_type not in INDEX_TYPES and not image.platform().fits(platform):
        raise ConfigError(
            f"cannot read image at {layout.where}: it is for {image.platform()}, not for {platform}"
        )
    return image.descriptor


def copy_missing(
    pull_set: PullSet,
    staging: Staging,
    is_here: Callable[[Descriptor], bool],
    keep: Callable[[Descriptor], None],
) -> tuple[Descriptor, ...]:
    """Commit all documents and blobs; the blobs that came over the network.

    Those of which `is_here` says that it has committed them do not; `keep` is told of each that
    did. Both are called from several threads. Raises what reading the blobs does, `LayoutError`
    for one of another size than was said of it, and `OutputError`.
    """
    stop = Event()

    def copied(blob: Descriptor) -> bool:
        if is_here(blob):
            return False
        _copy(pull_set.layout, staging, blob, stop)
        keep(blob)
        return True

    came = run_all([partial(copied, blob) for blob in pull_set.blobs], _AT_ONCE, stop)
    for document in pull_set.documents:
        with staging.new_blob() as new:
            new.write(document.data)
            new.commit(document.descriptor.digest, document.descriptor.size)
    return tuple(blob for blob, is_new in zip(pull_set.blobs, came, strict=True) if is_new)


def _copy(layout: Layout, staging: Staging, blob: Descriptor, stop: Event) -> None:
    with layout.blobs.open(blob.digest) as remote, staging.new_blob() as new:
        for chunk in chunks(remote, blob.size + 1):
            if stop.is_set():
                raise CancelledError
            new.write(chunk)
        if new.size != blob.size:
            raise LayoutError(
                f"cannot read image at {layout.where}: blob {blob.digest} has not the "
                f"{blob.size} bytes that are said of it"
            )
        new.commit(blob.digest, blob.size)
