"""Putting one manifest or index, whose blobs are there, or should be."""

from __future__ import annotations

from nix2oci.host.http.request_error import RequestError
from nix2oci.oci.registry.client import Client
from nix2oci.oci.registry.image_documents import Document
from nix2oci.oci.registry.manifests import put_document
from nix2oci.oci.registry.upload import Uploader

_LACKING = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})


def put(client: Client, uploader: Uploader, document: Document, name: str) -> str | None:
    """Put it under a digest or tag; the subject that the registry took note of. `RequestError`.

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
