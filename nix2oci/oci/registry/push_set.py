"""What there is to push of a layout: blobs, documents in their order, and what refers to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import ConfigError, LayoutError, OutputError
from nix2oci.oci.artifact import EMPTY, Artifact
from nix2oci.oci.artifacts import blobs_of, referrers
from nix2oci.oci.fields import Fields, Json, parse_object
from nix2oci.oci.layout.source import ImageSource, Layout
from nix2oci.oci.media_types import INDEX_TYPES
from nix2oci.oci.spec import Descriptor, Digest


class Document(Struct, frozen=True):
    """A manifest or index, and what it refers to that must be there before it."""

    descriptor: Descriptor
    data: bytes
    blobs: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    """What it is about: it is one of that image's referrers."""

    def referrer(self) -> Json:
        """Its descriptor as a list of referrers has it (distribution specification, Referrers)."""
        content = Fields.of(parse_object(self.data, f"manifest {self.descriptor.digest}"))
        kind = content["artifactType"].text() or content["config"].object()["mediaType"].text()
        more = {"artifactType": kind, "annotations": content["annotations"].texts_by_name()}
        return {**self.descriptor.to_json(), **{key: value for key, value in more.items() if value}}

    @classmethod
    def of(cls, artifact: Artifact) -> Document:
        """One that was made here."""
        blobs = (EMPTY, artifact.blob)
        return cls(artifact.descriptor, artifact.manifest, blobs, artifact.subject)


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
    documents = tuple(chain.from_iterable(_documents(layout, e, seen) for e in entries.values()))
    about = referrers(layout, [document.descriptor.digest for document in documents])
    others = tuple(chain.from_iterable(_documents(layout, entry, seen) for entry in about))
    everything = (*documents, *others)
    configs = [blob for document in everything for blob in document.blobs[:1]]
    layers = [blob for document in everything for blob in document.blobs[1:]]
    blobs = tuple({blob.digest: blob for blob in (*layers, *configs)}.values())
    for blob in blobs:
        if layout.blobs.size(blob.digest) is None:
            raise OutputError(f"cannot push {layout.where}: there is no blob {blob.digest}")
    return PushSet(blobs, documents, others)


def _documents(
    layout: Layout, entry: Descriptor, seen: set[Digest], depth: int = 1
) -> Iterator[Document]:
    """An index after what it lists, a manifest alone; nothing that was `seen` before."""
    if entry.digest in seen:
        return
    seen.add(entry.digest)
    source = ImageSource(layout.where, entry, layout.blobs)
    data = source.read(entry.digest)
    if Digest.of(data) != entry.digest:
        raise LayoutError(f"cannot push {layout.where}: {entry.digest} has other bytes")
    content = Fields.of(source.document(entry.digest))
    media_type = content["mediaType"].text()
    if media_type not in (None, entry.media_type):
        raise LayoutError(
            f"cannot push {layout.where}: {entry.digest} has media type "
            f"'{media_type}', and is listed as '{entry.media_type}'"
        )
    blobs: tuple[Descriptor, ...] = ()
    if entry.media_type in INDEX_TYPES:
        for child in layout.nested(entry, depth):
            yield from _documents(layout, child, seen, depth + 1)
    else:
        blobs = blobs_of(source)
    subject = Descriptor.read(content["subject"].object())
    content.check(f"cannot push {layout.where}: {entry.digest}")
    yield Document(Descriptor(entry.media_type, entry.digest, len(data)), data, blobs, subject)
