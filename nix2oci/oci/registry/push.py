"""Pushing an image or an index: blobs, configurations, manifests, the index, and last the tag.

Whatever refers to something comes after it, so that at every moment all that a registry shows is
complete, and a push that is cut off moves no tag. Pushing again begins with asking what is there,
and so goes on where the last one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import ConfigError, Nix2OCIError, NotAttachedError
from nix2oci.host.http.request_error import RequestError, as_registry_error
from nix2oci.oci.layout.source import Blobs
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.client import Client, is_immutable
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.early_uploads import EarlyUploads
from nix2oci.oci.registry.image_documents import Document
from nix2oci.oci.registry.manifests import get_document, named_digest
from nix2oci.oci.registry.parallel import run_all
from nix2oci.oci.registry.push_set import PushSet
from nix2oci.oci.registry.put import put
from nix2oci.oci.registry.put_attached import attach
from nix2oci.oci.registry.repository import Repository
from nix2oci.oci.registry.upload import Outcome, Uploader
from nix2oci.oci.spec import Descriptor, Digest


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
    early: EarlyUploads | None = None,
    arrived: Callable[[Reference], None] = lambda _: None,
) -> Pushed:
    """Push an image or index under the tag that `to` has, or by its digest alone, and `more_tags`.

    `mount_from` are repositories of the same registry that may have some of the blobs, `known` is
    what was found out of `to`; `arrived` is told of each tag as soon as it names the image.
    Raises `RegistryError`, `AuthenticationError`, `OutputError` when a blob cannot be read,
    `ConfigError` when `to` names another digest than that of `push_set`, and `NotAttachedError`
    where all is there but what refers to it.
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
            outcomes = dict(early.finish()) if early else {}
            before = {to.tag: known}
            done = {tag for tag in tags if _names(client, tag, named.digest, before.get(tag))}
            lost = known.lost if known and to.tag in done else None
            of_image = {blob.digest for each in push_set.documents for blob in each.blobs}
            rest = [blob for blob in push_set.blobs if blob.digest not in outcomes]
            work = [
                partial(_delivered, uploader, blob, lost if blob.digest in of_image else None)
                for blob in rest
            ]
            found = run_all(work, clients.access.jobs, client.stop)
            outcomes |= zip((blob.digest for blob in rest), found, strict=True)
            if not done:
                _put_all(client, uploader, push_set.documents)
            failed = attach(client, uploader, push_set)
            for tag in tags:
                if tag not in done:
                    _put_tag(client, uploader, push_set.documents[-1], tag)
                arrived(replace(to, tag=tag, digest=None))
        except (RequestError, Nix2OCIError):
            client.stop.clear()  # no thread is left: another image of the run may go there
            raise
        finally:
            uploader.call_off()
    clients.note_holder(place, (blob.digest for blob in push_set.blobs))
    if failed:
        raise NotAttachedError(f"{place}@{named.digest}", failed.cause, failed.hint, failed.status)
    in_order = {blob.digest: outcomes[blob.digest] for blob in push_set.blobs}
    return Pushed(place, tuple(tags), named, in_order)


def push_about(image: Digest, more: PushSet, blobs: Blobs, place: Repository, to: Clients) -> None:
    """Attach something to an image that is in a repository.

    Raises `RegistryError`, `AuthenticationError`, `OutputError` when a blob cannot be read, and
    `NotAttachedError`.
    """
    client = to.of(place, push=True)
    uploader = Uploader(client, blobs)
    with as_registry_error(f"attach to {place}@{image}"):
        try:
            client.meet()
            work = [partial(uploader.upload, blob) for blob in more.blobs]
            run_all(work, to.access.jobs, client.stop)
            failed = attach(client, uploader, more)
        finally:
            uploader.call_off()
    if failed:
        raise NotAttachedError(f"{place}@{image}", failed.cause, failed.hint, failed.status)


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
        put(client, uploader, document, str(document.descriptor.digest))


def _put_tag(client: Client, uploader: Uploader, document: Document, tag: str) -> None:
    """Put the tag; one that cannot be moved need not be where it names the image already."""
    try:
        put(client, uploader, document, tag)
    except RequestError as err:
        if not is_immutable(err.status, err.cause):
            raise
        try:
            named, _ = get_document(client, tag)
        except RequestError:
            raise err from None
        if named.digest != document.descriptor.digest:
            raise
