"""Reading an image where it is, in a registry: as a layout whose blobs come over the network.

Nothing is believed that has not the digest by which it was asked for. A blob that stops in the
middle is gone on with from there.
"""

from __future__ import annotations

import copy
import hashlib
from io import BytesIO
from threading import Lock

from msgspec.structs import replace

from nix2oci.errors import LayoutError, OutputError
from nix2oci.host.http.request_error import RequestError, as_registry_error
from nix2oci.host.http.transport import Answer
from nix2oci.oci.documents import read_index
from nix2oci.oci.fields import parse_object
from nix2oci.oci.layout.archive import Closing, Readable
from nix2oci.oci.layout.names import CONTAINERD_NAME
from nix2oci.oci.layout.source import Layout
from nix2oci.oci.media_types import INDEX_TYPES
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.client import Client, Message
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.manifests import get_document
from nix2oci.oci.registry.referrers import get_referrers
from nix2oci.oci.registry.repository import Repository
from nix2oci.oci.spec import Descriptor, Digest


def open_remote(
    reference: Reference, clients: Clients, known_as: Reference | None = None
) -> Layout:
    """What a reference names in a registry, `latest` without tag and digest, as a layout.

    `known_as` is its name, where that is another one than that by which it is asked for.

    Raises `RegistryError`, `AuthenticationError`, and `LayoutError` when it is no image. Reading
    its blobs raises the same.
    """
    place = Repository.of(reference)
    client = clients.of(place)
    name = str(reference.digest or reference.tag or "latest")
    where = f"{place}@{name}" if reference.digest else f"{place}:{name}"
    purpose = f"read image at {where}"
    with as_registry_error(purpose):
        client.meet()
        found, data = get_document(client, name)
    blobs = RemoteBlobs(client, purpose)
    blobs.note(found, data)
    named = replace(found, annotations=_named(known_as or reference))
    index = {"schemaVersion": 2, "manifests": [named.to_json()]}
    return Layout(where, _NoFiles(), blobs, index)


def _named(reference: Reference) -> dict[str, str]:
    """The whole name of an image, as an index has it: a tag says more than a digest."""
    place = Repository.of(reference)
    name = Reference(place.repository, place.registry, reference.tag, reference.digest)
    has_tag = reference.tag or not reference.digest
    return {CONTAINERD_NAME: str(name.tagged() if has_tag else name)}


class _NoFiles:
    """A registry has no `index.json` and the like."""

    def size(self, name: str) -> int | None:  # noqa: ARG002
        return None

    def open(self, name: str) -> Readable:
        raise FileNotFoundError(name)


class RemoteBlobs:
    """Blobs of a repository, and manifests as far as an index names them."""

    def __init__(self, client: Client, purpose: str) -> None:
        self._client = client
        self._purpose = purpose
        self._lock = Lock()
        self._documents: dict[Digest, bytes] = {}
        self._listed: set[Digest] = set()
        self._checks = True

    def unchecked(self) -> RemoteBlobs:
        """The same for who judges blobs himself: they end as they are, with whatever digest."""
        other = copy.copy(self)
        other._checks = False  # noqa: SLF001  # one of this class
        return other

    def note(self, descriptor: Descriptor, data: bytes) -> None:
        """A manifest or index that is known; what an index lists are manifests, too."""
        nested: set[Digest] = set()
        if descriptor.media_type in INDEX_TYPES:
            index = read_index(parse_object(data, f"index {descriptor.digest}"))
            nested = {entry.digest for entry in index.manifests}
        with self._lock:
            self._documents[descriptor.digest] = data
            self._listed |= nested

    def size(self, digest: Digest) -> int | None:
        """Bytes of the blob as it is stored; None when it is missing; `RegistryError`."""
        if digest in self._documents or digest in self._listed:
            try:
                return len(self._document(digest))
            except OutputError:
                return None
        with as_registry_error(self._purpose):
            return self._client.persist(lambda: self._size(digest))

    def _size(self, digest: Digest) -> int | None:
        """By HEAD; where a registry, or its storage, forbids that, by the head of a GET."""
        url = self._client.url("blobs", str(digest))
        for method in ("HEAD", "GET"):
            try:
                with self._client.send(Message(method, url, (200, 404))) as answer:
                    return answer.length() if answer.status == 200 else None
            except RequestError as err:
                if method == "GET" or err.status not in (400, 403, 405, 501):
                    raise
        raise AssertionError

    def open(self, digest: Digest) -> Readable:
        """The blob from its start; `OutputError` when it is missing, `RegistryError`."""
        if digest in self._documents or digest in self._listed:
            return BytesIO(self._document(digest))
        blob = RemoteBlob(self._client, digest, self._purpose, checks=self._checks)
        with as_registry_error(self._purpose):
            try:
                self._client.persist(blob.begin)
            except RequestError as err:
                if err.status == 404:
                    raise self._missing(digest) from None
                raise
        return blob

    def referrers(self, digest: Digest) -> tuple[Descriptor, ...]:
        """The manifests whose subject is that one; `RegistryError`."""
        with as_registry_error(self._purpose):
            found = get_referrers(self._client, digest)
        with self._lock:
            self._listed |= {entry.digest for entry in found}
        return found

    def tagged(self, tag: str) -> Descriptor | None:
        """The manifest under another tag of the repository; None where there is none."""
        with as_registry_error(self._purpose):
            try:
                found, data = get_document(self._client, tag)
            except RequestError as err:
                if err.status == 404:
                    return None
                raise
        self.note(found, data)
        return found

    def _document(self, digest: Digest) -> bytes:
        if digest not in self._documents:
            with as_registry_error(self._purpose):
                try:
                    self.note(*get_document(self._client, str(digest)))
                except RequestError as err:
                    if err.status == 404:
                        raise self._missing(digest) from None
                    raise
        return self._documents[digest]

    def _missing(self, digest: Digest) -> OutputError:
        return LayoutError(f"cannot {self._purpose}: there is no blob {digest}")


class RemoteBlob(Closing):
    """A blob on its way here; where it `checks`, it ends with an error unless that is right."""

    def __init__(
        self, client: Client, digest: Digest, purpose: str, *, checks: bool = True
    ) -> None:
        self._client = client
        self._digest = digest
        self._purpose = purpose
        self._checks = checks
        self._hash = hashlib.sha256()
        self._position = 0
        self._answer: Answer | None = None

    def begin(self) -> None:
        """Ask for what is still missing of it; `RequestError`."""
        self.close()
        url = self._client.url("blobs", str(self._digest))
        headers = {"Range": f"bytes={self._position}-"} if self._position else {}
        answer = self._client.send(Message("GET", url, (200, 206), headers))
        skipped = 0 if answer.status == 206 else self._position
        while skipped and (piece := answer.piece(min(skipped, 1 << 16))):
            skipped -= len(piece)
        self._answer = answer

    def read(self, size: int = -1, /) -> bytes:
        """So many bytes, fewer only at the end; all for a negative number.

        Raises `RegistryError`, also at the end of bytes that have another digest.
        """
        data = bytearray()
        with as_registry_error(self._purpose):
            while size < 0 or len(data) < size:
                piece = self._client.persist(lambda: self._piece(1 << 16))
                if not piece:
                    break
                data += piece
        return bytes(data)

    def _piece(self, most: int) -> bytes:
        if self._answer is None:
            self.begin()
        assert self._answer is not None
        try:
            piece = self._answer.piece(most)
        except RequestError:
            self.close()
            raise
        self._hash.update(piece)
        self._position += len(piece)
        self._client.access.listener.moved(len(piece))
        is_right = piece or f"sha256:{self._hash.hexdigest()}" == str(self._digest)
        if self._checks and not is_right:
            raise RequestError(f"it sent other bytes than those of {self._digest}")
        return piece

    def close(self) -> None:
        """Break it off."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None
