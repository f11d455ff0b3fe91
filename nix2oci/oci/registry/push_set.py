"""What there is to push of a layout: blobs, documents in their order, and what refers to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import ConfigError, OutputError
from nix2oci.oci.artifact import Artifact
from nix2oci.oci.artifacts import referrers
from nix2oci.oci.layout.source import Layout
from nix2oci.oci.registry.image_documents import Document, blobs_behind, documents_of
from nix2oci.oci.spec import Descriptor, Digest


class TaggedLayer(Struct, frozen=True):
    """A layer of the image under a tag that others add layers to: a signature as cosign 2 has it.

    Its annotations say what it is; its blob is among those that are pushed.
    """

    tag: str
    layer: Descriptor


class PushSet(Struct, frozen=True):
    """All that is to be pushed; `documents` in their order, the one that is named last."""

    blobs: tuple[Descriptor, ...]
    """Layers before configurations, each digest once."""
    documents: tuple[Document, ...]
    referrers: tuple[Document, ...] = ()
    """Manifests about these, each after what it is about."""
    signatures: tuple[TaggedLayer, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs)

    def with_more(
        self, artifacts: Sequence[Artifact], signatures: Sequence[TaggedLayer] = ()
    ) -> PushSet:
        """The same with more about these documents; what is there already stays where it is."""
        known = {each.descriptor.digest for each in self.referrers}
        new = tuple(Document.of(a) for a in artifacts if a.descriptor.digest not in known)
        blobs = [*self.blobs, *(blob for each in new for blob in reversed(each.blobs))]
        blobs += [each.layer for each in signatures]
        distinct = {blob.digest: replace(blob, annotations={}) for blob in blobs}
        return replace(
            self,
            blobs=tuple(distinct.values()),
            referrers=(*self.referrers, *new),
            signatures=(*self.signatures, *signatures),
        )


NOTHING = PushSet((), ())
"""What is added to where an image is there already."""


def read_push_set(layout: Layout, tag: str | None = None) -> PushSet:
    """What there is to push of a layout or archive: the image or index of a tag.

    Raises `ConfigError` when several are meant, `LayoutError` and `OutputError` when it is broken
    or a blob of it is missing.
    """
    entries = {entry.digest: entry for entry in layout.images(tag)}
    if len(entries) != 1:
        tags = layout.tags()
        raise ConfigError(
            f"cannot push {layout.where}: it holds {len(entries)} images",
            hint=f"name one of its tags after a colon: {', '.join(tags)}" if tags else None,
        )
    seen: set[Digest] = set()
    purpose = f"push {layout.where}"

    def documents_behind(found: Iterable[Descriptor]) -> tuple[Document, ...]:
        return tuple(chain.from_iterable(documents_of(layout, e, seen, purpose) for e in found))

    documents = documents_behind(entries.values())
    about = referrers(layout, [document.descriptor.digest for document in documents])
    others = documents_behind(about)
    blobs = blobs_behind((*documents, *others))
    for blob in blobs:
        if layout.blobs.size(blob.digest) is None:
            raise OutputError(f"cannot push {layout.where}: there is no blob {blob.digest}")
    return PushSet(blobs, documents, others)
