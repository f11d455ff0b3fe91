"""Manifests and indexes of a repository."""

from __future__ import annotations

from nix2oci.errors import LayoutError
from nix2oci.host.http.request_error import RequestError
from nix2oci.oci.fields import MAX_DOCUMENT, Fields, parse_object
from nix2oci.oci.media_types import DOCKER_INDEX, DOCKER_MANIFEST
from nix2oci.oci.registry.client import Client, Message, check_stored, shown
from nix2oci.oci.spec import INDEX, MANIFEST, Descriptor, Digest

_KINDS = (INDEX, MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST)


def put_document(
    client: Client, descriptor: Descriptor, data: bytes, name: str, *, instead_of: str | None = None
) -> str | None:
    """Put a manifest or index; the subject that the registry took note of. `RequestError`.

    `instead_of` is the ETag of what it may replace: what others put there since is kept, where the
    registry heeds that, and the status is 412.
    """
    condition = {"If-Match": instead_of} if instead_of else {}
    headers = {"Content-Type": descriptor.media_type, **condition}
    url = client.url("manifests", name)
    with client.call(Message("PUT", url, (200, 201, 202), headers, data)) as answer:
        check_stored(answer, descriptor.digest)
        return answer.header("OCI-Subject")


def named_digest(client: Client, tag: str) -> Digest | None:
    """What a tag names in a repository, as far as the registry says so at once; else None."""
    message = Message("HEAD", client.url("manifests", tag), (200,), {"Accept": ", ".join(_KINDS)})
    try:
        with client.send(message) as answer:
            return Digest.parse(answer.header("Docker-Content-Digest"))
    except (RequestError, LayoutError):
        return None


def get_document(client: Client, name: str) -> tuple[Descriptor, bytes]:
    """The manifest or index of a tag or digest, its bytes checked.

    Raises `RequestError`, with status 404 when there is none.
    """
    found, data, _ = get_with_etag(client, name)
    return found, data


def get_with_etag(client: Client, name: str) -> tuple[Descriptor, bytes, str | None]:
    """The same, and what the registry calls this state of the tag, if it does."""
    url = client.url("manifests", name)
    with client.call(Message("GET", url, (200,), {"Accept": ", ".join(_KINDS)})) as answer:
        data = answer.read(MAX_DOCUMENT + 1)
        said = answer.header("Docker-Content-Digest")
        kind = (answer.header("Content-Type") or "").partition(";")[0].strip()
        etag = answer.header("ETag")
    if len(data) > MAX_DOCUMENT:
        raise RequestError(f"the manifest {name} has more than {MAX_DOCUMENT} bytes")
    digest = Digest.of(data)
    wanted = name if name.startswith("sha256:") else said
    if wanted is not None and wanted.startswith("sha256:") and wanted != str(digest):
        raise RequestError(f"it sent {digest} when it was asked for {shown(wanted)}")
    return Descriptor(_kind(data) or kind, digest, len(data)), data, etag


def _kind(data: bytes) -> str | None:
    """What a document says that it is."""
    try:
        return Fields.of(parse_object(data, "manifest"))["mediaType"].text()
    except LayoutError:
        return None
