"""The distribution API of one repository: a request with all that comes of it.

Here a request meets challenges and redirects, and an answer that is none of those expected becomes
a `RequestError` that says whether to try again. Whoever may know who we are is one host only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container, Iterable, Mapping
from threading import Event, Lock
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from nix2oci.host.http.request_error import RequestError
from nix2oci.host.http.retry import TEMPORARY, Health, Patience, persist
from nix2oci.host.http.transport import Answer, Request, Transport
from nix2oci.host.http.urls import (
    REDIRECTS,
    followed,
    is_loopback,
    origin,
    same_host,
    same_origin,
)
from nix2oci.oci.registry import credentials
from nix2oci.oci.registry.challenge import challenges, chosen
from nix2oci.oci.registry.client_options import ClientOptions, line_to
from nix2oci.oci.registry.credentials import Asked, Credentials
from nix2oci.oci.registry.repository import Repository
from nix2oci.oci.registry.tokens import Authenticator, Follow, Scopes
from nix2oci.oci.spec import Digest
from nix2oci.text import display

T = TypeVar("T")

_MAX_REDIRECTS = 10
_MAX_ERROR = 64 << 10
_MAX_SHOWN = 300
_TEMPORARY_CODES = frozenset(
    {"TOOMANYREQUESTS", "UNAVAILABLE", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "UNKNOWN"}
)
_PONG = frozenset(range(200, 600)) - {400}
"""Statuses that show a registry, even a busy one; 400 is how a server with TLS answers HTTP."""
_IMMUTABLE = re.compile(r"immutab|cannot be overwritten|already exists", re.IGNORECASE)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class RestartError(RequestError):
    """Who we are is proved again, but what was being sent is lost: begin again."""


class Message(Struct, frozen=True):
    """What is asked of a registry; `expect` has the statuses of answers that are welcome."""

    method: str
    url: str
    expect: Container[int]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    stream: Callable[[], Iterable[bytes]] | None = None
    """Makes the body again, whose length is in the headers."""
    seconds: float | None = None
    """For the answer, where that is less than for others."""


class Client:
    """Talks to one repository, for any number of threads."""

    def __init__(
        self,
        place: Repository,
        access: ClientOptions,
        actions: str,
        others: Iterable[str] = (),
        transport: Transport | None = None,
    ) -> None:
        """`transport` has connections to the registry, where others use them as well."""
        self.place = place
        self.access = access
        self.stop = Event()
        """Set when the work is called off: nothing is begun or waited for any more."""
        self._security = access.security_of(place.registry)
        self._transport = transport or Transport(line_to(place, access))
        self._others = tuple(others)
        self._authenticator = self._new_authenticator(
            Scopes(
                f"repository:{place.repository}:{actions}",
                tuple(f"repository:{other}:pull" for other in self._others),
            ),
            self._credentials,
        )
        self._strangers: dict[object, Authenticator] = {}
        """For hosts that the registry redirects to and that ask who we are, by origin."""
        self._lock = Lock()
        self._scheme = "http" if self._security.plain_http else "https"
        self._health = Health()
        self._is_met = False

    @property
    def others(self) -> tuple[str, ...]:
        """Repositories that we may read as well, as far as the token server lets us."""
        return () if self._authenticator.narrowed else self._others

    def _new_authenticator(
        self, scopes: Scopes, credentials: Callable[[], Credentials | None]
    ) -> Authenticator:
        transport, access = self._transport, self.access
        follow = Follow(lambda: transport.reach, access.is_plain)
        return Authenticator(scopes, credentials, transport.exchange, access.clock, follow)

    def url(self, *parts: str) -> str:
        """An address of the repository: `url("blobs", digest)`."""
        return "/".join((f"{self._scheme}://{self.place.host}/v2", self.place.repository, *parts))

    def meet(self, *, by: Callable[[], None] | None = None) -> None:
        """Find out how to talk to the registry, and say who we are if it asks; `RequestError`.

        Without TLS only when that was asked for, or on this machine, where no one listens. One
        request alone, so that what is wrong with our credentials is shown once, not by each thread:
        a ping, or what `by` does. Only the first call does anything.
        """
        if self._is_met:
            return
        first = by or self._ping
        try:
            first()
        except RequestError as err:
            may_be_plain = self._security.may_be_plain or is_loopback(self.place.host)
            if not err.plain or not may_be_plain:
                raise
            self._scheme = "http"
            first()
        self._is_met = True

    def _ping(self) -> None:
        url = f"{self._scheme}://{self.place.host}/v2/"
        self.call(Message("GET", url, _PONG)).close()

    def call(self, message: Message) -> Answer:
        """Send a message, again and again while what goes wrong is temporary."""
        return self.persist(lambda: self.send(message))

    def persist(self, work: Callable[[], T]) -> T:
        """What `work` returns, tried again while what goes wrong is temporary."""
        clock, note = self.access.clock, self.access.listener.note
        return persist(
            work,
            patience=self._patience,
            health=self._health,
            clock=clock,
            stop=self.stop,
            note=note,
        )

    def _patience(self) -> Patience:
        """Less, as long as the registry never answered: it may be a slip in its name."""
        patience = self.access.patience
        return patience if self._health.met else replace(patience, tries=min(patience.tries, 2))

    def send(self, message: Message) -> Answer:
        """Send a message once; the answer, when it is one of those expected.

        Raises `RequestError`, `RestartError` where a stream met a challenge.
        """
        answer = self._authorized(message, message.url, ours=same_host(message.url, self.url()))
        redirects = 0
        while answer.status in REDIRECTS and answer.header("Location"):
            redirects += 1
            if redirects > _MAX_REDIRECTS:
                answer.close()
                raise RequestError(f"{answer.shown}: redirected more than {_MAX_REDIRECTS} times")
            answer.close()
            url = self.followed(answer, f"{answer.shown} is redirected, and ")
            answer = self._authorized(message, url, ours=same_origin(url, self.url()))
        if answer.status in message.expect:
            return answer
        with answer:
            raise refusal(answer)

    def followed(self, answer: Answer, purpose: str) -> str:
        """Where the `Location` of an answer leads; a `RequestError` begins with the purpose."""
        try:
            return followed(answer.url, answer.header("Location"), self._transport.reach)
        except ValueError as err:
            raise RequestError(f"{purpose}{err}") from None

    def _authorized(self, message: Message, url: str, *, ours: bool) -> Answer:
        """The answer to a message at an address, after a challenge was met, if there was one.

        Who we are is said to the registry alone: `ours`. Another host gets what it gives to anyone.
        """
        known = self._authenticator if ours else self._strangers.get(origin(url))
        proof = known.header() if known else None
        answer = self._exchanged(message, url, proof)
        if answer.status != 401:
            return answer
        authenticator = known or self._stranger(answer)
        if authenticator is None:
            return answer
        answer.close()  # the token may come over the same connection
        authenticator.challenged(answer, proof)
        self._say_narrowed()
        if message.stream is not None:
            raise RestartError(f"{answer.shown} answered 401", status=401)
        answer = self._exchanged(message, url, authenticator.header())
        if answer.status == 401:
            answer.close()
            raise authenticator.refused(answer)
        return answer

    def _exchanged(self, message: Message, url: str, proof: str | None) -> Answer:
        answer = self._transport.exchange(_request(message, url, proof))
        self._health.answered(answer.status)
        return answer

    def _stranger(self, answer: Answer) -> Authenticator | None:
        """Who asks for a token that anyone gets, where such a one is asked for."""
        challenge = chosen(challenges(answer.header("WWW-Authenticate") or ""))
        if challenge is None or challenge.scheme != "bearer":
            return None
        made = self._new_authenticator(Scopes(""), lambda: None)
        with self._lock:
            return self._strangers.setdefault(origin(answer.url), made)

    def _say_narrowed(self) -> None:
        if self._others and not self.others:
            with self._lock:
                others, self._others = self._others, ()
            if others:
                names = ", ".join(others)
                self.access.listener.note(
                    f"its token server does not let us read {names}: nothing is taken from there"
                )

    def _credentials(self) -> Credentials | None:
        place, access = self.place, self.access
        note = access.listener.note
        asked = Asked(place.registry, place.repository)
        found = credentials.find(asked, access.environment, note, access.timeouts.helper)
        if found is None:
            note(f"no credentials for {place.registry}: going on without")
        else:
            note(f"using credentials from {found.source} for {place}")
        return found


def _request(message: Message, url: str, proof: str | None) -> Request:
    headers = dict(message.headers)
    if proof is not None:
        headers["Authorization"] = proof
    stream = message.stream() if message.stream is not None else None
    return Request(message.method, url, headers, message.body, stream, message.seconds)


def check_stored(answer: Answer, digest: Digest) -> None:
    """Raise `RequestError` when a registry says that what it was sent has another digest."""
    got = answer.header("Docker-Content-Digest")
    if got not in (None, str(digest)):
        raise RequestError(f"it stored {shown(str(got))} when it was sent {digest}")


def refusal(answer: Answer) -> RequestError:
    """What to make of an answer that is not welcome."""
    body = b"" if answer.method == "HEAD" else _read_some(answer)
    errors = _errors(body)
    codes = tuple(code for code, _ in errors)
    said = "; ".join(f"{code}: {words}" if words else code for code, words in errors)
    said = said or _first_line(body)
    cause = f"{answer.shown} answered {answer.status}" + (f": {said}" if said else "")
    denied = answer.status in (401, 403)
    return RequestError(
        cause,
        hint=_hint(answer, said),
        status=answer.status,
        codes=codes,
        temporary=answer.status in TEMPORARY
        or (not denied and any(code in _TEMPORARY_CODES for code in codes)),
        retry_after=answer.header("Retry-After"),
        denied=denied,
        digests=tuple(_DIGEST.findall(body.decode("utf-8", "replace"))),
    )


def _hint(answer: Answer, said: str) -> str | None:
    if "HTTPS" in said and answer.url.startswith("http:"):
        return "it speaks TLS: leave out --plain-http"
    if "/manifests/" in answer.url and (answer.status == 413 or "too large" in said):
        return "the manifest is too large for it: take fewer layers, or shorter annotations"
    if "/manifests/" in answer.url and is_immutable(answer.status, said):
        return "the tag is immutable there, and names another image: push under another tag"
    if said.startswith("NAME_UNKNOWN") and answer.method == "POST":
        return "some registries want a repository to be made before something is pushed to it"
    return None


def is_immutable(status: int | None, said: str) -> bool:
    """Whether a registry refused to let a tag mean another image, or the same again."""
    return status in (400, 403, 405, 409, 412) and _IMMUTABLE.search(said) is not None


def _read_some(answer: Answer) -> bytes:
    try:
        return answer.read(_MAX_ERROR)
    except RequestError:
        return b""  # the status is what counts


def _errors(body: bytes) -> list[tuple[str, str]]:
    """Code and words of each error (distribution specification, Error Codes)."""
    try:
        found = json.loads(body)["errors"]
        return [
            (shown(str(error.get("code", "UNKNOWN"))), shown(str(error.get("message") or "")))
            for error in found[:5]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _first_line(body: bytes) -> str:
    text = re.sub(r"<[^>]*>", " ", body[:4096].decode("utf-8", "replace"))
    return next((shown(" ".join(line.split())) for line in text.splitlines() if line.strip()), "")


def shown(text: str) -> str:
    """What a registry says, harmless to a terminal, and not more than a line of it."""
    return display(text[:_MAX_SHOWN].encode("utf-8", "replace"))
