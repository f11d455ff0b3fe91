"""How one blob gets into a repository, whatever happens on the way.

Is it there already? Can the registry take it from another repository? Else a session is opened
and the bytes are sent: in one PUT, or, where a registry does not want that, in one PATCH with an
empty PUT after it. A session that broke is never mended: it is called off, and the blob begun
again, where it turns out whether the registry had got it nevertheless.

The bytes are hashed while they are sent, and the last of them kept back until the hash is right:
a file that changed meanwhile never becomes a blob.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from threading import Lock
from typing import Literal

from nix2oci.errors import OutputError
from nix2oci.oci.layout.source import Blobs
from nix2oci.oci.registry.client import Client, Message, RestartError, check_stored
from nix2oci.oci.registry.request_error import RequestError
from nix2oci.oci.registry.retry import CancelledError
from nix2oci.oci.registry.transport import Answer
from nix2oci.oci.registry.urls import followed, with_query
from nix2oci.oci.spec import Descriptor, Digest

Outcome = Literal["sent", "there", "mounted"]
"""What became of a blob: it was sent, it was there, or another repository had it."""

_PIECE = 64 << 10
_OTHER_WAY = frozenset({404, 405, 411, 413, 416, 500})
"""Statuses of an upload that a registry may take when it is made in the other way."""
_MAX_RESTARTS = 3
_BINARY = "application/octet-stream"


class Uploader:
    """Uploads blobs of one image to one repository, for any number of threads."""

    def __init__(self, client: Client, blobs: Blobs, others: Sequence[str] = ()) -> None:
        self._client = client
        self._blobs = blobs
        self._lock = Lock()
        self._others = list(others)
        """Repositories that may have a blob, as long as the registry says nothing against it."""
        self._ways: tuple[_Way, ...] = (_put, _patch)
        self._sessions: set[str] = set()
        self._begun: set[Digest] = set()

    def upload(self, blob: Descriptor, *, anew: bool = False) -> Outcome:
        """Get a blob into the repository; `anew`: send it even if it seems to be there.

        Raises `RequestError`, `CancelledError`, and `OutputError` when the blob cannot be read
        or is not what its descriptor says.
        """
        rejected = False

        def attempt() -> Outcome:
            nonlocal rejected
            try:
                return self._once(blob, anew=anew)
            except RequestError as err:
                # What was sent was right: it was hashed. Once, it may have been an accident.
                if "DIGEST_INVALID" in err.codes and not rejected:
                    rejected = err.temporary = True
                raise

        return self._client.persist(attempt)

    def obtain(self, blob: Descriptor) -> bool:
        """Whether a blob is there, or another repository gave it just now; nothing is sent.

        Raises `RequestError`, `CancelledError`.
        """
        return self._client.persist(lambda: self._is_there(blob) or self._is_given(blob))

    def _is_given(self, blob: Descriptor) -> bool:
        if not self._others:
            return False
        session = self._opened(blob.digest)
        if session is not None:
            self._delete(session)
        return session is None

    def call_off(self) -> None:
        """Tell the registry that nothing more comes of the uploads that are open."""
        with self._lock:
            sessions, self._sessions = self._sessions, set()
        for session in sorted(sessions):
            self._delete(session)

    def _delete(self, session: str) -> None:
        """A registry that does not listen cleans up by itself some day."""
        with suppress(RequestError):
            self._client.send(Message("DELETE", session, range(200, 500), seconds=5)).close()

    def _once(self, blob: Descriptor, *, anew: bool) -> Outcome:
        for restarts in range(_MAX_RESTARTS + 1):
            try:
                if not anew and self._is_there(blob):
                    self._client.access.listener.moved(blob.size)
                    # An answer may have been lost, and not what it was about.
                    return "sent" if blob.digest in self._begun else "there"
                return self._transferred(blob)
            except RestartError as err:
                if restarts == _MAX_RESTARTS:
                    raise RequestError(err.cause, status=err.status, denied=True) from None
        raise AssertionError

    def _is_there(self, blob: Descriptor) -> bool:
        url = self._client.url("blobs", str(blob.digest))
        try:
            with self._client.send(Message("HEAD", url, (200,))) as answer:
                return answer.length() in (None, blob.size)
        except RequestError as err:
            # A registry that cannot tell is asked to take the blob.
            if err.status in (404, 405) or (err.status or 0) >= 500:
                return False
            raise

    def _transferred(self, blob: Descriptor) -> Outcome:
        ways = self._ways
        for number, way in enumerate(ways):
            session = self._opened(blob.digest)
            if session is None:
                self._client.access.listener.moved(blob.size)
                return "mounted"
            try:
                self._send(way, session, blob)
            except RequestError as err:
                if err.status not in _OTHER_WAY or number + 1 == len(ways):
                    raise _sized(err, blob) from None
            else:
                self._ways = (way, *(other for other in ways if other is not way))
                return "sent"
        raise AssertionError

    def _opened(self, digest: Digest) -> str | None:
        """The address of a new upload session; None when the blob was mounted instead."""
        uploads = self._client.url("blobs", "uploads") + "/"
        for other in tuple(self._others):
            url = with_query(uploads, mount=str(digest), **{"from": other})
            try:
                answer = self._client.send(Message("POST", url, (201, 202)))
            except RequestError as err:
                if err.status == 429:
                    raise
                with suppress(ValueError):
                    self._others.remove(other)
                continue
            with answer:
                return None if answer.status == 201 else self._session(answer)
        with self._client.send(Message("POST", uploads, (202,), {"Content-Length": "0"})) as answer:
            return self._session(answer)

    def _session(self, answer: Answer) -> str:
        try:
            return followed(answer.url, answer.header("Location"))
        except ValueError as err:
            raise RequestError(f"{answer.shown}: its Location cannot be used: {err}") from None

    def _send(self, way: _Way, session: str, blob: Descriptor) -> None:
        moved = 0

        def stream() -> Iterator[bytes]:
            nonlocal moved
            for piece in checked(self._blobs, blob):
                if self._client.stop.is_set():
                    raise CancelledError
                yield piece
                moved += len(piece)
                self._client.access.listener.moved(len(piece))

        with self._lock:
            self._sessions.add(session)
            self._begun.add(blob.digest)
        try:
            with way(self._client, self._session, session, blob, stream) as answer:
                check_stored(answer, blob.digest)
        except BaseException as err:
            self._client.access.listener.moved(-moved)
            self._forget(session, tell=not isinstance(err, RequestError) or err.status is not None)
            raise
        with self._lock:
            self._sessions.discard(session)

    def _forget(self, session: str, *, tell: bool) -> None:
        """Give up a session that broke; `tell`: say so, unless someone else did already."""
        with self._lock:
            is_open = session in self._sessions
            self._sessions.discard(session)
        if is_open and tell:
            self._delete(session)


_Stream = Callable[[], Iterator[bytes]]
_Way = Callable[[Client, Callable[[Answer], str], str, Descriptor, _Stream], Answer]


def _put(
    client: Client, _: Callable[[Answer], str], session: str, blob: Descriptor, stream: _Stream
) -> Answer:
    """All in one request (distribution specification, POST then PUT)."""
    url = with_query(session, digest=str(blob.digest))
    headers = {"Content-Type": _BINARY, "Content-Length": str(blob.size)}
    return client.send(Message("PUT", url, (201, 204), headers, stream=stream))


def _patch(
    client: Client, next_: Callable[[Answer], str], session: str, blob: Descriptor, stream: _Stream
) -> Answer:
    """As docker does it: one PATCH of everything, then a PUT of nothing."""
    headers = {"Content-Type": _BINARY, "Content-Length": str(blob.size)}
    with client.send(Message("PATCH", session, (201, 202, 204), headers, stream=stream)) as answer:
        url = with_query(next_(answer), digest=str(blob.digest))
    return client.send(Message("PUT", url, (201, 204), {"Content-Length": "0"}))


def _sized(err: RequestError, blob: Descriptor) -> RequestError:
    if err.status in (413, 416):
        err.cause += f", for a blob of {blob.size} bytes"
    return err


def checked(blobs: Blobs, blob: Descriptor) -> Iterator[bytes]:
    """The bytes of a blob, the last of them only if all are what its descriptor says.

    Raises `OutputError`.
    """
    digest, size, held = hashlib.sha256(), 0, b""
    with blobs.open(blob.digest) as file:
        while piece := _read(file.read, blob):
            digest.update(piece)
            size += len(piece)
            if size > blob.size:
                break
            if held:
                yield held
            held = piece
    if size != blob.size or f"sha256:{digest.hexdigest()}" != str(blob.digest):
        raise OutputError(
            f"cannot push blob {blob.digest}: its bytes are not those of its digest",
            hint="the image changed meanwhile, or is damaged: nix2oci validate tells",
        )
    yield held


def _read(read: Callable[[int], bytes], blob: Descriptor) -> bytes:
    try:
        return read(_PIECE)
    except OSError as err:
        raise OutputError(f"cannot read blob {blob.digest}: {err.strerror}") from err
