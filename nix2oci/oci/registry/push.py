"""Pushing an image or an index: blobs, configurations, manifests, the index, and last the tag.

Whatever refers to something comes after it, so that at every moment all that a registry shows is
complete, and a push that is cut off moves no tag. Pushing again begins with asking what is there,
and so goes on where the last one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import ConfigError, LayoutError, OutputError
from nix2oci.host.http.request_error import RequestError, as_registry_error
from nix2oci.oci.artifacts import blobs_of, referrers
from nix2oci.oci.fields import Fields, Json, parse_object
from nix2oci.oci.layout.source import Blobs, ImageSource, Layout
from nix2oci.oci.media_types import INDEX_TYPES
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.client import Client, is_immutable
from nix2oci.oci.registry.client_options import Repository
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.manifests import add_referrer, get_document, named_digest, put_document
from nix2oci.oci.registry.parallel import run_all
from nix2oci.oci.registry.upload import Outcome, Uploader
from nix2oci.oci.spec import Descriptor, Digest

_LACKING = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})


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


class PushSet(Struct, frozen=True):
    """All that is to be pushed; `documents` in their order, the one that is named last."""

    blobs: tuple[Descriptor, ...]
    """Layers before configurations, each digest once."""
    documents: tuple[Document, ...]
    referrers: tuple[Document, ...] = ()
    """Manifests about these, each after what it is about."""

    @property
    def size(self) -> int:
        """Bytes of all blobs."""
        return sum(blob.size for blob in self.blobs)


class Pushed(Struct, frozen=True):
    """What came of a push."""

    place: Repository
    tags: tuple[str, ...]
    """None where it was pushed by its digest alone."""
    descriptor: Descriptor
    """Of the manifest or index that the tags name now."""
    outcomes: Mapping[Digest, Outcome]
    """What became of each blob, in the order of `PushSet.blobs`."""

    def __str__(self) -> str:
        return f"{self.place}@{self.descriptor.digest}"


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


class Known(Struct, frozen=True):
    """What this run found out about a tag and the image that it names."""

    digest: Digest
    lost: frozenset[Digest] = frozenset()
    """Blobs of that image that the registry does not have."""


def push(
    push_set: PushSet,
    blobs: Blobs,
    to: Reference,
    clients: Clients,
    *,
    more_tags: Sequence[str] = (),
    mount_from: Sequence[str] = (),
    known: Known | None = None,
    arrived: Callable[[Reference], None] = lambda _: None,
) -> Pushed:
    """Push an image or index under the tag that `to` has, or by its digest alone, and `more_tags`.

    `mount_from` are repositories of the same registry that may have some of the blobs, `known` is
    what was found out of `to`; `arrived` is told of each tag as soon as it names the image.
    Raises `RegistryError`, `AuthenticationError`, `OutputError` when a blob cannot be read, and
    `ConfigError` when `to` names another digest than that of `push_set`.
    """
    named = push_set.documents[-1].descriptor
    check_digest(push_set, to)
    place = Repository.of(to)
    tags = dict.fromkeys(tag for tag in (to.tag, *more_tags) if tag is not None)
    client = clients.of(place, push=True, others=mount_from)
    uploader = Uploader(client, blobs, mount_from, holder=partial(clients.holder, place))
    with as_registry_error(f"push to {place}"):
        try:
            client.meet()
            before = {to.tag: known}
            done = {tag for tag in tags if _names(client, tag, named.digest, before.get(tag))}
            lost = known.lost if known and to.tag in done else None
            work = [partial(_delivered, uploader, blob, lost) for blob in push_set.blobs]
            outcomes = run_all(work, clients.access.jobs, client.stop)
            if not done:
                _put_all(client, uploader, push_set.documents)
            _put_all(client, uploader, push_set.referrers)
            for tag in tags:
                if tag not in done:
                    _put_tag(client, uploader, push_set.documents[-1], tag)
                arrived(replace(to, tag=tag, digest=None))
        finally:
            uploader.call_off()
    clients.note_holder(place, (blob.digest for blob in push_set.blobs))
    by_digest = zip((blob.digest for blob in push_set.blobs), outcomes, strict=True)
    return Pushed(place, tuple(tags), named, dict(by_digest))


def check_digest(push_set: PushSet, to: Reference) -> None:
    """Raise `ConfigError` where a reference has another digest than what is to be pushed there."""
    digest = push_set.documents[-1].descriptor.digest
    if to.digest is not None and to.digest != digest:
        raise ConfigError(f"cannot push to {to}: the image has digest {digest}", hint="name a tag")


def _names(client: Client, tag: str, digest: Digest, known: Known | None) -> bool:
    """Whether a tag names an image already: then nothing is put, which it may not even allow."""
    return (known.digest if known else named_digest(client, tag)) == digest


def _delivered(uploader: Uploader, blob: Descriptor, lost: frozenset[Digest] | None) -> Outcome:
    """Get a blob there; of an image that is there, only what was `lost` is asked for."""
    if lost is not None and blob.digest not in lost:
        return "there"
    return uploader.upload(blob)


def _put_all(client: Client, uploader: Uploader, documents: Iterable[Document]) -> None:
    for document in documents:
        noted = _put(client, uploader, document, str(document.descriptor.digest))
        if document.subject is not None and not noted:
            add_referrer(client, document.subject.digest, document.referrer())


def _put_tag(client: Client, uploader: Uploader, document: Document, tag: str) -> None:
    """Put the tag; one that cannot be moved need not be where it names the image already."""
    try:
        _put(client, uploader, document, tag)
    except RequestError as err:
        if not is_immutable(err.status, err.cause):
            raise
        try:
            named, _ = get_document(client, tag)
        except RequestError:
            raise err from None
        if named.digest != document.descriptor.digest:
            raise


def _put(client: Client, uploader: Uploader, document: Document, name: str) -> bool:
    """Put a manifest or index under a digest or tag; whether its subject was taken note of.

    A registry may say that a blob is there and not find it then; such a blob is sent once more.
    """
    try:
        return put_document(client, document.descriptor, document.data, name)
    except RequestError as err:
        if not _LACKING & set(err.codes):
            raise
        named = [blob for blob in document.blobs if str(blob.digest) in err.digests]
        for blob in named or document.blobs:
            uploader.upload(blob, force=True)
        return put_document(client, document.descriptor, document.data, name)
