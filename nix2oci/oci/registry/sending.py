"""One blob on its way into one session of a registry.

The hard part is a session that broke. What the registry has of it is not sent again where it says
how much that is and goes on from there (distribution specification, Pushing a blob in chunks); few
bytes of a large blob are lost on a line that is cut now and then.

The bytes are hashed while they are sent, and the last of them kept back until the hash is right: a
file that changed meanwhile never becomes a blob.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator

from nix2oci.errors import OutputError
from nix2oci.host.http.request_error import RequestError
from nix2oci.host.http.retry import CancelledError
from nix2oci.host.http.transport import Answer
from nix2oci.host.http.urls import with_query
from nix2oci.oci.layout.archive import Readable
from nix2oci.oci.layout.source import Blobs
from nix2oci.oci.registry.client import Client, Message
from nix2oci.oci.spec import Descriptor

_PIECE = 64 << 10
_BINARY = "application/octet-stream"
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")

Moved = Callable[[int], None]
"""Told of bytes that are done; negative when they must be sent again."""


class BlobReader:
    """The bytes of a blob, from any place that the reader has been to."""

    def __init__(self, blobs: Blobs, blob: Descriptor) -> None:
        self._blobs = blobs
        self._blob = blob
        self._mark = (0, hashlib.sha256())

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` to `end`, those at the end of the blob only if all were right.

        Raises `OutputError`.
        """
        with self._blobs.open(self._blob.digest) as file:
            position, digest = self._hashed_to(file, start)
            self._mark = (position, digest.copy())
            while position < end:
                piece = self._piece(file, end - position)
                digest.update(piece)
                position += len(piece)
                if position == self._blob.size:
                    self._check(file, digest.hexdigest())
                yield piece
            if not self._blob.size:
                self._check(file, digest.hexdigest())

    def _hashed_to(self, file: Readable, start: int) -> tuple[int, hashlib._Hash]:
        """Read on to a place, from the last one that was begun at where that is before it."""
        position, digest = self._mark if self._mark[0] <= start else (0, hashlib.sha256())
        digest = digest.copy()
        _skip(file, position, lambda size: self._piece(file, size))
        while position < start:
            piece = self._piece(file, start - position)
            digest.update(piece)
            position += len(piece)
        return position, digest

    def _piece(self, file: Readable, most: int) -> bytes:
        try:
            piece = file.read(min(most, _PIECE))
        except OSError as err:
            raise OutputError(f"cannot read blob {self._blob.digest}: {err.strerror}") from err
        return piece or self._changed()

    def _check(self, file: Readable, digest: str) -> None:
        if digest != self._blob.digest.hex or file.read(1):
            self._changed()

    def _changed(self) -> bytes:
        raise OutputError(
            f"cannot push blob {self._blob.digest}: its bytes are not those of its digest",
            hint="the image changed meanwhile, or is damaged: nix2oci validate tells",
        )


def _skip(file: Readable, count: int, read: Callable[[int], bytes]) -> None:
    seek = getattr(file, "seek", None)
    if seek is not None:
        seek(count)
        return
    while count:
        count -= len(read(count))


class Sending:
    """A blob, the session that it goes into, and how much of it the registry has."""

    def __init__(self, client: Client, blobs: Blobs, blob: Descriptor, moved: Moved) -> None:
        self.blob = blob
        self.session = ""
        """Its address; `""` where there is none."""
        self.has = 0
        """Bytes that the registry has."""
        self.sent = 0
        """Bytes that went out since then."""
        self.progress = False
        """Whether the registry had more when a session broke than ever before."""
        self._best = 0
        self._client = client
        self._reader = BlobReader(blobs, blob)
        self._moved = moved

    def begin(self, session: str) -> None:
        """Go on with a session that has nothing yet."""
        self.session = session
        self._at(0)

    def forget(self) -> None:
        """Give the session up."""
        self.begin("")

    def _at(self, has: int) -> None:
        self._moved(has - self.has - self.sent)
        self.has, self.sent = has, 0

    def find(self) -> bool:
        """Ask how much the registry has of a session that broke, and whether it can go on there.

        Raises `RequestError` where the registry does not answer, `CancelledError`.
        """
        has = self._client.persist(self._asked)
        if has is None or has > self.blob.size:
            return False
        self.progress, self._best = has > self._best, max(has, self._best)
        self._at(has)
        return True

    def _asked(self) -> int | None:
        """Bytes that the registry has; None where it does not say, or knows no such session."""
        try:
            with self._client.send(Message("GET", self.session, (200, 204))) as answer:
                if answer.header("Location"):
                    self.session = next_session(self._client, answer)
                return _has(answer.header("Range"))
        except RequestError as err:
            if err.status is None or err.status == 429:
                raise
            return None

    def by_put(self) -> Answer:
        """All that is missing; in one request where that is everything (POST then PUT)."""
        if self.has:
            return self.by_patch()
        url = with_query(self.session, digest=str(self.blob.digest))
        return self._send("PUT", url, self.blob.size, (201, 204))

    def by_patch(self, piece: int | None = None, *, alone: bool = False) -> Answer:
        """As docker does it: one PATCH of everything, then a PUT of nothing.

        With `piece`, PATCHes of so many bytes at most; `alone`: each on a connection of its own.
        """
        more = {"Connection": "close"} if alone else {}
        while not self.has or self.has < self.blob.size:
            end = min(self.has + (piece or self.blob.size), self.blob.size)
            if piece or self.has:
                more["Content-Range"] = f"{self.has}-{end - 1}"
            with self._send("PATCH", self.session, end, (201, 202, 204), more) as answer:
                self.session = next_session(self._client, answer)
            self.has, self.sent = end, 0
            if not self.blob.size:
                break
        url = with_query(self.session, digest=str(self.blob.digest))
        return self._client.send(Message("PUT", url, (201, 204), {"Content-Length": "0"}))

    def _send(
        self,
        method: str,
        url: str,
        end: int,
        expect: tuple[int, ...],
        more: dict[str, str] | None = None,
    ) -> Answer:
        """Send the bytes from where the registry is to `end`."""
        size = str(end - self.has)
        headers = {"Content-Type": _BINARY, "Content-Length": size, **(more or {})}
        return self._client.send(
            Message(method, url, expect, headers, stream=lambda: self._stream(end))
        )

    def _stream(self, end: int) -> Iterator[bytes]:
        self._at(self.has)
        for piece in self._reader.read(self.has, end):
            if self._client.stop.is_set():
                raise CancelledError
            yield piece
            self.sent += len(piece)
            self._moved(len(piece))


def next_session(client: Client, answer: Answer) -> str:
    """Where an answer says that an upload goes on; `RequestError`."""
    return client.followed(answer, f"{answer.shown}: its Location cannot be used: ")


def _has(text: str | None) -> int | None:
    """Bytes that a `Range` of a session means; None where it has none.

    `0-0` is what registries say of nothing, and nobody makes a first piece of one byte.
    """
    match = _RANGE.fullmatch((text or "").strip())
    if match is None:
        return None
    return int(match[1]) + 1 if int(match[1]) else 0
