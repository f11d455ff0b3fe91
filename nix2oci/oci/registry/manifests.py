"""Manifests and indexes of a repository, and the list of what refers to an image.

A registry that does not list referrers itself has them in an index under the tag
`sha256-<hex>`, which clients keep (distribution specification, Referrers Tag Schema). The hard
part is not to lose what another client wrote there.
"""

from __future__ import annotations

from nix2oci.errors import LayoutError
from nix2oci.host.http.request_error import RequestError
from nix2oci.oci.documents import read_index
from nix2oci.oci.fields import MAX_DOCUMENT, Fields, Json, parse_object
from nix2oci.oci.media_types import DOCKER_INDEX, DOCKER_MANIFEST, INDEX_TYPES
from nix2oci.oci.registry.client import Client, Message, check_stored, shown
from nix2oci.oci.spec import INDEX, MANIFEST, Descriptor, Digest, canonical_json

_KINDS = (INDEX, MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST)
_ROUNDS = 3
"""Times to write the list of referrers before a race on it is given up."""


def put_document(client: Client, descriptor: Descriptor, data: bytes, name: str) -> bool:
    """Put a manifest or index; whether the registry took note of its subject. `RequestError`."""
    return _put(client, descriptor, data, name, {})


def _put(
    client: Client, descriptor: Descriptor, data: bytes, name: str, condition: dict[str, str]
) -> bool:
    headers = {"Content-Type": descriptor.media_type, **condition}
    url = client.url("manifests", name)
    with client.call(Message("PUT", url, (200, 201, 202), headers, data)) as answer:
        check_stored(answer, descriptor.digest)
        return answer.header("OCI-Subject") is not None


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
    found, data, _ = _get(client, name)
    return found, data


def _get(client: Client, name: str) -> tuple[Descriptor, bytes, str | None]:
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


def add_referrer(client: Client, subject: Digest, referrer: Json) -> None:
    """See to it that the list of a subject's referrers has one more, and loses none.

    Raises `RequestError`, also when there is something else under the tag of the list.
    """
    tag = str(subject).replace(":", "-")
    for _ in range(_ROUNDS):
        listed, etag = _listed(client, tag)
        if any(entry.get("digest") == referrer["digest"] for entry in listed):
            return
        entries = sorted([*listed, referrer], key=lambda entry: str(entry.get("digest")))
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        data = canonical_json(index)
        condition = {"If-Match": etag} if etag else {}
        try:
            _put(client, Descriptor.of(INDEX, data), data, tag, condition)
        except RequestError as err:
            if err.status != 412:
                raise
    listed, _ = _listed(client, tag)
    if all(entry.get("digest") != referrer["digest"] for entry in listed):
        raise RequestError(f"the list of referrers, tag {tag}, is written by others all the time")


def get_referrers(client: Client, subject: Digest) -> tuple[Descriptor, ...]:
    """The manifests about one, as the registry lists them or as the tag for that does.

    Raises `RequestError`.
    """
    url = client.url("referrers", str(subject))
    with client.call(Message("GET", url, (200, 400, 403, 404, 405))) as answer:
        data = answer.read(MAX_DOCUMENT) if answer.status == 200 else b""
    if not data:
        try:
            _, data, _ = _get(client, str(subject).replace(":", "-"))
        except RequestError as err:
            if err.status == 404:
                return ()
            raise
    try:
        return read_index(parse_object(data, f"the list of what refers to {subject}")).manifests
    except LayoutError:
        return ()


def _listed(client: Client, tag: str) -> tuple[list[Json], str | None]:
    """The referrers under the tag, and what to hold against a race."""
    try:
        found, data, etag = _get(client, tag)
    except RequestError as err:
        if err.status == 404:
            return [], None
        raise
    foreign = RequestError(f"tag {tag} is no list of referrers: it is left as it is")
    if found.media_type not in INDEX_TYPES:
        raise foreign
    try:
        index = read_index(parse_object(data, "list of referrers"))
        index.fields.check("cannot read list of referrers")
    except LayoutError:
        raise foreign from None
    return [entry.values for entry in index.fields["manifests"].objects()], etag
