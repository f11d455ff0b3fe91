"""What is attached to an image that is in a registry: its referrers, and signatures under a tag."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain
from threading import Event

from nix2oci.host.http.request_error import RequestError
from nix2oci.oci.artifact import WithBytes
from nix2oci.oci.registry.client import Client
from nix2oci.oci.registry.image_documents import Document
from nix2oci.oci.registry.parallel import run_all
from nix2oci.oci.registry.push_set import PushSet
from nix2oci.oci.registry.put import put
from nix2oci.oci.registry.referrers import put_about
from nix2oci.oci.registry.signature_tag import add_signature
from nix2oci.oci.registry.upload import Uploader
from nix2oci.oci.spec import Descriptor, Digest


def attach(client: Client, uploader: Uploader, push_set: PushSet) -> RequestError | None:
    """Put all that is about an image, whose blobs are there; what went wrong, if anything.

    One that fails keeps no other from being put.
    """

    def put_one(document: Document) -> str | None:
        return put(client, uploader, document, str(document.descriptor.digest))

    def upload(blob: Descriptor, data: bytes) -> object:
        return Uploader(client, WithBytes({blob.digest: data})).upload(blob)

    parts = [each for each in push_set.referrers if each.subject is None]
    about: dict[Digest, list[Document]] = {}
    for document in (*push_set.documents, *push_set.referrers):
        if document.subject is not None:
            about.setdefault(document.subject.digest, []).append(document)
    lists = [partial(put_about, client, *each, put_one) for each in about.items()]
    tags = [partial(add_signature, client, each, upload) for each in push_set.signatures]
    failed = [_failed(partial(put_one, part)) for part in parts]
    work = [partial(_failed, one) for one in (*lists, *tags)]
    failed += run_all(work, client.access.jobs, Event())
    return next(chain.from_iterable(failed), None)


def _failed(work: Callable[[], object]) -> list[RequestError]:
    """What goes wrong with something, if anything."""
    try:
        work()
    except RequestError as err:
        return [err]
    return []
