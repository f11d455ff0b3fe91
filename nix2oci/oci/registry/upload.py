"""How one blob gets into a repository, whatever happens on the way.

Is it there already? Can the registry take it from another repository? Else a session is opened
and the bytes are sent: in one PUT, or, where a registry does not want that, in one PATCH with an
empty PUT after it, or, where it takes no body of that size, in pieces.

A session that broke is continued from where the registry has it. Where the registry cannot say, it
is begun again, where it turns out whether the registry had got the blob nevertheless; and if much
was lost, then in pieces, each on a connection of its own: a line that is cut after so many bytes
would otherwise be cut there each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock
from typing import Literal

from nix2oci.host.http.request_error import RequestError
from nix2oci.host.http.transport import Answer
from nix2oci.host.http.urls import with_query
from nix2oci.oci.layout.source import Blobs
from nix2oci.oci.registry.client import Client, Message, RestartError, check_stored
from nix2oci.oci.registry.sending import Moved, Sending, next_session
from nix2oci.oci.spec import Descriptor, Digest

Outcome = Literal["sent", "there", "mounted"]
"""What became of a blob: it was sent, it was there, or another repository had it."""

_OTHER_WAY = frozenset({404, 405, 411, 413, 416, 500})
"""Statuses of an upload that a registry may take when it is made in the other way."""
_TOO_LARGE = 413
_MAX_RESTARTS = 3
_LARGEST_PIECE = 32 << 20
_SMALLEST_PIECE = 64 << 10
_MUCH = 8 << 20
"""Bytes whose loss is a reason to send in pieces."""


class Uploader:
    """Uploads blobs of one image to one repository, for any number of threads."""

    def __init__(
        self,
        client: Client,
        blobs: Blobs,
        others: Sequence[str] = (),
        moved: Moved | None = None,
        holder: Callable[[Digest], str | None] = lambda _: None,
    ) -> None:
        self._client = client
        self._blobs = blobs
        self._moved = moved or client.access.listener.moved
        self._lock = Lock()
        self._others = list(others)
        """Repositories that may have a blob, as long as the registry says nothing against it."""
        self._holder = holder
        """Which of them is known to have a blob."""
        self._ways: tuple[_Way, ...] = (_put, _patch)
        self._piece: int | None = None
        """Larger blobs are sent in pieces of so many bytes."""
        self._alone = False
        """Each piece gets a connection of its own."""
        self._open: set[Sending] = set()

    def upload(self, blob: Descriptor, *, force: bool = False) -> Outcome:
        """Get a blob into the repository; `force`: send it even if it seems to be there.

        Raises `RequestError`, `CancelledError`, and `OutputError` when the blob cannot be read
        or is not what its descriptor says.
        """
        if not force and self.is_there(blob):
            self._moved(blob.size)
            return "there"
        sending = Sending(self._client, self._blobs, blob, self._moved)
        with self._lock:
            self._open.add(sending)
        try:
            return self._client.persist(_Attempts(self, sending))
        finally:
            with self._lock:
                self._open.discard(sending)
            self._give_up(sending)

    def obtain(self, blob: Descriptor) -> bool:
        """Whether a blob is there, or another repository gave it just now; nothing is sent.

        Raises `RequestError`, `CancelledError`.
        """
        return self.is_there(blob) or self._is_given(blob)

    def _is_given(self, blob: Descriptor) -> bool:
        if not self._mountable(blob.digest):
            return False
        session = self._opened(blob.digest)
        if session is not None:
            self._delete(session)
        return session is None

    def check_allowed(self) -> None:
        """Find out whether we may push, by beginning an upload that is called off at once.

        What the registry refuses now it would refuse after the build. Raises `RequestError`, but
        not where the registry only cannot tell.
        """
        try:
            session = self._client.persist(self._try_to_begin)
        except RequestError as err:
            if err.status == 405 or (err.status or 0) >= 500:
                return
            raise
        self._delete(session)

    def _try_to_begin(self) -> str:
        try:
            return self._begin()
        except RequestError as err:
            err.temporary = err.temporary and (err.status or 0) < 500
            raise

    def call_off(self) -> None:
        """Tell the registry that nothing more comes of the uploads that are open."""
        with self._lock:
            left, self._open = self._open, set()
        for sending in left:
            self._give_up(sending)

    def _give_up(self, sending: Sending) -> None:
        with self._lock:
            session, sending.session = sending.session, ""
        if session:
            self._delete(session)

    def _delete(self, session: str) -> None:
        """A registry that does not listen cleans up by itself some day."""
        with suppress(RequestError):
            self._client.send(Message("DELETE", session, range(200, 500), seconds=5)).close()

    def is_there(self, blob: Descriptor) -> bool:
        """Whether the registry says that it has a blob; `RequestError`, `CancelledError`."""
        return self._client.persist(lambda: self._asked(blob))

    def _asked(self, blob: Descriptor) -> bool:
        url = self._client.url("blobs", str(blob.digest))
        try:
            with self._client.send(Message("HEAD", url, (200,))) as answer:
                return answer.length() in (None, blob.size)
        except RequestError as err:
            # A registry that cannot tell is asked to take the blob: some storage forbids to ask.
            if err.status in (403, 404, 405) or (err.status or 0) >= 500:
                return False
            raise

    def send(self, sending: Sending) -> Outcome:
        """Begin or continue to send a blob; `RequestError` says whether to try again."""
        if sending.session and not sending.find():
            lost = sending.has + sending.sent
            sending.forget()
            if self.is_there(sending.blob):
                self._moved(sending.blob.size)
                return "sent"  # an answer was lost, and not what it was about
            self._take_smaller_pieces(lost)
        if not sending.session and not self._begun(sending):
            return "mounted"
        return self._sent(sending)

    def _begun(self, sending: Sending) -> bool:
        """Open a session for a blob; False where the blob was mounted instead."""
        session = self._opened(sending.blob.digest)
        if session is None:
            self._moved(sending.blob.size)
            return False
        sending.begin(session)
        return True

    def _sent(self, sending: Sending) -> Outcome:
        if self._piece is not None and sending.blob.size > self._piece:
            return self._sent_in_pieces(sending)
        ways = self._ways
        for number, way in enumerate(ways):
            try:
                self._finish(sending, way(sending))
            except RequestError as err:
                if err.status not in _OTHER_WAY:
                    raise
                if number + 1 == len(ways):
                    return self._shrunk(sending, err)
                self._give_up(sending)
                if not self._begun(sending):
                    return "mounted"
            else:
                self._ways = (way, *(other for other in ways if other is not way))
                return "sent"
        raise AssertionError

    def _shrunk(self, sending: Sending, err: RequestError) -> Outcome:
        """Send in pieces what is too large in one; raises `err` where it is not that."""
        piece = min(_LARGEST_PIECE, sending.blob.size // 2)
        if err.status != _TOO_LARGE or piece < _SMALLEST_PIECE:
            raise _sized(err, sending.blob) from None
        self._piece = piece
        self._give_up(sending)
        return self._sent_in_pieces(sending) if self._begun(sending) else "mounted"

    def _sent_in_pieces(self, sending: Sending) -> Outcome:
        while True:
            piece = self._piece or _LARGEST_PIECE
            try:
                self._finish(sending, sending.by_patch(piece, alone=self._alone))
            except RequestError as err:
                if err.status != _TOO_LARGE or piece // 2 < _SMALLEST_PIECE:
                    raise _sized(err, sending.blob) from None
                self._piece = piece // 2
                if not sending.find() and not self._begun(sending):
                    return "mounted"
            else:
                return "sent"

    def _take_smaller_pieces(self, lost: int) -> None:
        """After a line broke, and what had been sent of a blob was lost."""
        if lost >= _MUCH:
            before = self._piece or _LARGEST_PIECE
            self._piece = max(min(before, lost // 4), _SMALLEST_PIECE)
            self._alone = True

    def _finish(self, sending: Sending, answer: Answer) -> None:
        with answer:
            check_stored(answer, sending.blob.digest)
        sending.session = ""

    def _mountable(self, digest: Digest) -> list[str]:
        """Repositories to take a blob from; the one that has it comes first."""
        allowed, holder = self._client.others, self._holder(digest)
        found = [other for other in self._others if other in allowed]
        return sorted(found, key=lambda other: other != holder)

    def _opened(self, digest: Digest) -> str | None:
        """The address of a new upload session; None when the blob was mounted instead."""
        for other in self._mountable(digest):
            query = {"mount": str(digest), "from": other}
            url = with_query(self._client.url("blobs", "uploads") + "/", **query)
            try:
                answer = self._client.send(Message("POST", url, (201, 202)))
            except RequestError as err:
                if err.status == 429:
                    raise
                with suppress(ValueError):
                    self._others.remove(other)
                continue
            with answer:
                return None if answer.status == 201 else next_session(self._client, answer)
        return self._client.persist(self._begin)

    def _begin(self) -> str:
        uploads = self._client.url("blobs", "uploads") + "/"
        with self._client.send(Message("POST", uploads, (202,), {"Content-Length": "0"})) as answer:
            return next_session(self._client, answer)


class _Attempts:
    """To send one blob, called again after each trouble that passes."""

    def __init__(self, uploader: Uploader, sending: Sending) -> None:
        self._uploader = uploader
        self._sending = sending
        self._restarts = 0
        self._rejected = False

    def __call__(self) -> Outcome:
        try:
            return self._uploader.send(self._sending)
        except RestartError as err:
            self._restarts += 1
            if self._restarts > _MAX_RESTARTS:
                raise RequestError(err.cause, status=err.status, denied=True) from None
            return self()
        except RequestError as err:
            # What was sent was right: it was hashed. Once, it may have been an accident.
            if "DIGEST_INVALID" in err.codes and not self._rejected:
                self._rejected = err.temporary = True
                self._sending.forget()
            if self._sending.sent >= _MUCH:
                err.at_once = False  # the registry needs a moment to see that nothing more comes
            err.progress, self._sending.progress = self._sending.progress, False
            raise


_Way = Callable[[Sending], Answer]


def _put(sending: Sending) -> Answer:
    return sending.by_put()


def _patch(sending: Sending) -> Answer:
    return sending.by_patch()


def _sized(err: RequestError, blob: Descriptor) -> RequestError:
    if err.status in (413, 416):
        err.cause += f", for a blob of {blob.size} bytes"
    return err
