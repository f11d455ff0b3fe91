"""Proving who we are, by Basic or by tokens (distribution's token specification).

The hard part is time: a token may end while a blob is on its way, several threads find that out
at once, and only one of them should ask for the next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from threading import Lock
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from nix2oci.host.http.addresses import Reach
from nix2oci.host.http.request_error import RequestError
from nix2oci.host.http.retry import TEMPORARY, Clock
from nix2oci.host.http.transport import Answer, Request
from nix2oci.host.http.urls import (
    REDIRECTS,
    followed,
    is_loopback,
    redacted,
    same_origin,
    with_query,
)
from nix2oci.oci.registry.challenge import Challenge, challenges, chosen
from nix2oci.oci.registry.credentials import Credentials

Exchange = Callable[[Request], Answer]


class Follow(Struct, frozen=True):
    """Where a registry's token server may be."""

    own: Callable[[], Reach]
    """How far the registry reaches."""
    is_plain: Callable[[str], bool]
    """Whether the user said of a host, or `host:port`, that it has no TLS."""

    def realm(self, url: str, realm: str) -> str:
        """The address of a token server that a challenge from `url` names; `ValueError`."""
        return followed(url, realm, self.own())

    def may_see_account(self, url: str, realm: str) -> bool:
        """Whether nobody else can listen, or everybody could who listens to the registry itself."""
        host = urlsplit(realm).netloc
        safe = realm.startswith("https:") or is_loopback(host)
        return safe or same_origin(url, realm) or self.is_plain(host)


_MAX_ANSWER = 64 << 10
_DEFAULT_LIFE = 60
_LONGEST_LIFE = 1 << 40
_MAX_REDIRECTS = 5
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_CLIENT = "nix2oci"
_LOG_IN = "log in with docker login or podman login, or set NIX2OCI_USERNAME and NIX2OCI_PASSWORD"


class _Proof(Struct, frozen=True):
    header: str
    until: float = float("inf")
    """Seconds since 1970 after which a new one is better."""

    def __repr__(self) -> str:  # without what is secret
        return f"_Proof(until={self.until!r})"


class Scopes(Struct, frozen=True):
    """What a client wants to do, in the words of token servers: `repository:NAME:ACTIONS`."""

    own: str
    """In the repository that it is for; `""` where the challenge says what."""
    others: tuple[str, ...] = ()
    """In others, which it can do without."""


class Authenticator:
    """Says who we are to one registry, for certain scopes; for any number of threads."""

    def __init__(
        self,
        scopes: Scopes,
        credentials: Callable[[], Credentials | None],
        exchange: Exchange,
        clock: Clock,
        follow: Follow,
    ) -> None:
        self._scopes = scopes
        self._look_up = credentials
        self._exchange = exchange
        self._clock = clock
        self._follow = follow
        self._lock = Lock()
        self._proof: _Proof | None = None
        self._challenge: tuple[str, Challenge] | None = None
        self._credentials: Credentials | None = None
        self._looked_up = False
        self.narrowed = False
        """Whether we were refused the other scopes."""

    def header(self) -> str | None:
        """The value of `Authorization`; None as long as nobody asked who we are.

        Raises `RequestError` when a new token is due and cannot be had.
        """
        with self._lock:
            if self._proof and self._challenge and self._clock.now() >= self._proof.until:
                self._proof = self._prove(*self._challenge)
            return self._proof.header if self._proof else None

    def challenged(self, answer: Answer, shown: str | None) -> None:
        """Learn from an answer 401 to a request with the header `shown` what the next must have.

        Raises `RequestError` when there is nothing left to try.
        """
        with self._lock:
            if self._proof is not None and self._proof.header != shown:
                return  # another thread has a new one already
            challenge = chosen(challenges(answer.header("WWW-Authenticate") or ""))
            if challenge is None:
                raise RequestError(
                    "it wants to know who asks, in a way that is not known here", denied=True
                )
            if not self._looked_up:
                self._credentials, self._looked_up = self._look_up(), True
            if shown is not None and challenge.scheme == "basic":
                raise self.refused(answer)
            self._proof = self._prove(answer.url, challenge)
            self._challenge = (answer.url, challenge)

    def refused(self, answer: Answer) -> RequestError:
        """What to say when the registry does not let us, whoever we are."""
        who = f"the credentials of {self._credentials.source}" if self._credentials else None
        return RequestError(
            f"{answer.shown}: {f'it does not accept {who}' if who else 'it wants credentials'}",
            hint=None if who else _LOG_IN,
            status=answer.status,
            denied=True,
        )

    def _prove(self, url: str, challenge: Challenge) -> _Proof:
        credentials = self._credentials
        if challenge.scheme == "basic":
            if credentials is None or not credentials.basic:
                raise RequestError(
                    "it wants credentials, and there are none for it",
                    hint=_LOG_IN,
                    denied=True,
                )
            return _Proof(f"Basic {credentials.basic}")
        if credentials and credentials.registry_token:
            return _Proof(f"Bearer {_checked(credentials.registry_token)}")
        try:
            realm = self._follow.realm(url, challenge.parameters["realm"])
        except ValueError as err:
            raise _unusable(f"the address of its token server cannot be used: {err}") from None
        if credentials and not self._follow.may_see_account(url, realm):
            host = urlsplit(realm).netloc
            raise RequestError(
                f"its token server {host} has no TLS, and would be shown the password in clear",
                hint=f"if everybody on the way may read it: --plain-http={host}",
                denied=True,
            )
        wanted = self._wanted(challenge)
        service = challenge.parameters.get("service", "")
        try:
            return self._token(realm, service, wanted, credentials)
        except RequestError as err:
            if len(wanted) < 2 or err.status not in (400, 401, 403):
                raise
            self.narrowed = True
            return self._token(realm, service, self._wanted(challenge), credentials)

    def _wanted(self, challenge: Challenge) -> tuple[str, ...]:
        if not self._scopes.own:
            return tuple(challenge.parameters.get("scope", "").split())
        return (self._scopes.own, *(() if self.narrowed else self._scopes.others))

    def _token(
        self, realm: str, service: str, scopes: tuple[str, ...], credentials: Credentials | None
    ) -> _Proof:
        if credentials and credentials.identity_token:
            document = self._exchanged(realm, service, scopes, credentials.identity_token)
            if document is not None:
                return self._proof_of(document)
        query = {"service": service} if service else {}
        url = with_query(realm, **query)
        for scope in scopes:
            url = with_query(url, scope=scope)
        basic = credentials.basic if credentials else ""
        headers = {"Authorization": f"Basic {basic}"} if basic else {}
        return self._proof_of(self._asked(Request("GET", url, headers)))

    def _exchanged(
        self, realm: str, service: str, scopes: tuple[str, ...], identity_token: str
    ) -> dict[str, object] | None:
        """The answer to a request by OAuth2; None where the token server does not know that."""
        form = {
            "grant_type": "refresh_token",
            "service": service,
            "scope": " ".join(scopes),
            "client_id": _CLIENT,
            "refresh_token": identity_token,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(form, errors="replace").encode()
        try:
            return self._asked(Request("POST", realm, headers, body))
        except RequestError as err:
            if err.status in (404, 405):
                return None
            raise

    def _asked(self, request: Request) -> dict[str, object]:
        """What the token server answers, as a JSON object; redirects stay on its host."""
        url = request.url
        for _ in range(_MAX_REDIRECTS):
            with self._exchange(Request(request.method, url, request.headers, request.body)) as it:
                if it.status not in REDIRECTS:
                    return _document(it)
                try:
                    there = self._follow.realm(url, it.header("Location") or "")
                except ValueError as err:
                    raise _unusable(f"its token server redirects, and {err}") from None
                if not same_origin(url, there):
                    raise _unusable("its token server redirects to another host")
                url = there
        raise _unusable(f"its token server redirects more than {_MAX_REDIRECTS} times")

    def _proof_of(self, document: dict[str, object]) -> _Proof:
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str):
            raise _unusable("its token server answered without a token")
        life = document.get("expires_in")
        if not isinstance(life, int | float) or isinstance(life, bool) or not life > 0:
            life = _DEFAULT_LIFE
        until = self._clock.now() + 0.9 * min(life, _LONGEST_LIFE)
        return _Proof(f"Bearer {_checked(token)}", until)


def _document(answer: Answer) -> dict[str, object]:
    server = f"its token server ({redacted(answer.url).partition('?')[0]})"
    if answer.status != 200:
        raise RequestError(
            f"{server} answered {answer.status}",
            status=answer.status,
            temporary=answer.status in TEMPORARY,
            retry_after=answer.header("Retry-After"),
            denied=answer.status not in TEMPORARY,
        )
    try:
        document = json.loads(answer.read(_MAX_ANSWER))
    except (ValueError, RecursionError):
        # Not `from err`: a JSON error carries the document.
        raise _unusable(f"{server} answered something that is not JSON") from None
    if not isinstance(document, dict):
        raise _unusable(f"{server} answered something that is not a JSON object")
    return document


def _checked(token: str) -> str:
    if not _VISIBLE.fullmatch(token):
        raise _unusable("its token has characters that no header may have")
    return token


def _unusable(cause: str) -> RequestError:
    return RequestError(cause, denied=True)
