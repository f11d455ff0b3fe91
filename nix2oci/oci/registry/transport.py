"""One request and its answer, over a connection that is kept for the next: the only user of HTTP.

The hard part is what can happen instead of an answer. All of it becomes a `RequestError` that says
whether another try makes sense, in words that hold no address with a secret in it. An answer is
read with a limit on bytes and on time, since a registry may send one byte a second, for ever.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import urllib3
from msgspec import Struct, field
from urllib3 import exceptions as failures

from nix2oci.oci.registry.client_options import ClientOptions
from nix2oci.oci.registry.request_error import RequestError
from nix2oci.oci.registry.retry import Clock
from nix2oci.oci.registry.tls import context
from nix2oci.oci.registry.urls import redacted

_PIECE = 64 << 10
_NOT_TLS = re.compile(
    r"wrong.version.number|record.layer.failure|unknown.protocol|packet.length", re.IGNORECASE
)


class Answer:
    """What a registry answered. To be closed, best in a `with` block."""

    def __init__(
        self,
        method: str,
        url: str,
        response: urllib3.BaseHTTPResponse,
        clock: Clock,
        seconds: float,
    ) -> None:
        self.method = method
        self.url = url
        self.status = response.status
        self._response = response
        self._clock = clock
        self._seconds = seconds

    def header(self, name: str) -> str | None:
        """A header; several of one name are one, with commas."""
        return self._response.headers.get(name)

    def length(self) -> int | None:
        """What Content-Length says, where it is a number."""
        text = self.header("Content-Length") or ""
        return int(text) if text.isascii() and text.isdigit() else None

    def read(self, most: int) -> bytes:
        """The body, but at most so many bytes; raises `RequestError`."""
        end = self._clock.now() + self._seconds
        data = b""
        while len(data) < most and (piece := self.piece(min(most - len(data), _PIECE))):
            data += piece
            if self._clock.now() > end:
                raise RequestError(
                    f"{self.shown} was not answered in full within {self._seconds:g} s",
                    temporary=True,
                )
        return data

    def piece(self, most: int = _PIECE) -> bytes:
        """What came next of the body, `b""` at its end; raises `RequestError`."""
        with _reported(self.shown, self.url):
            return self._response.read1(most)

    @property
    def shown(self) -> str:
        """The request, as it may be shown."""
        return f"{self.method} {redacted(self.url)}"

    def close(self) -> None:
        """Give the connection back; close it where more than a little of the answer is left."""
        with suppress(failures.HTTPError, OSError):
            if (self._response.length_remaining or 0) <= _PIECE:
                # The end of an answer is seen by reading there: once for what is left of it,
                # once for the end of one in pieces.
                self._response.read1(_PIECE)
                self._response.read1(_PIECE)
        self._response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None or issubclass(kind, Exception):
            self.close()
        else:
            self._response.close()  # Ctrl-C waits for nothing


class Request(Struct, frozen=True):
    """A request as it goes out."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    stream: Iterable[bytes] | None = None
    """Instead of `body`, and sent only once; the headers have its length."""
    seconds: float | None = None
    """For its answer, where that is less than for others."""


class Transport:
    """Connections to a registry and to what it names, kept open; for any number of threads."""

    def __init__(self, host: str, access: ClientOptions) -> None:
        self._host = host
        self._access = access
        self._lock = Lock()
        if not access.verify:
            urllib3.disable_warnings(failures.InsecureRequestWarning)  # the user is told by us
        self._pools: dict[tuple[str | None, str], urllib3.PoolManager] = {}

    def exchange(self, request: Request) -> Answer:
        """Send a request, follow nothing, and answer with whatever came back.

        Raises `RequestError` when nothing did.
        """
        url, shown = request.url, f"{request.method} {redacted(request.url)}"
        timeouts = self._access.timeouts
        seconds = min(request.seconds or timeouts.read, timeouts.read)
        connect = min(request.seconds or timeouts.connect, timeouts.connect)
        try:
            with _reported(shown, url):
                response = self._pool(url).urlopen(
                    request.method,
                    url,
                    body=request.stream if request.stream is not None else request.body,
                    headers={"User-Agent": self._access.environment.user_agent, **request.headers},
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                    timeout=urllib3.Timeout(connect=connect, read=seconds),
                )
        except RequestError as err:
            self._access.listener.exchange(f"{shown}: {err.cause}")
            raise
        self._access.listener.exchange(f"{shown}: {response.status}")
        return Answer(request.method, url, response, self._access.clock, seconds)

    def _pool(self, url: str) -> urllib3.PoolManager:
        key = (self._access.environment.proxies.of(url), urlsplit(url).netloc)
        with self._lock:
            if key not in self._pools:
                self._pools[key] = self._new_pool(*key)
            return self._pools[key]

    def _new_pool(self, proxy: str | None, host: str) -> urllib3.PoolManager:
        access = self._access
        most = access.jobs + 1
        # What proves who we are is for the registry, not for what it names.
        tls = context(
            host,
            access.environment,
            access.cert_dir,
            verify=access.verify,
            own=access.cert_dir is None or host == self._host,
        )
        if proxy is None:
            return urllib3.PoolManager(maxsize=most, ssl_context=tls)
        unusable = RequestError("the proxy that the environment names cannot be used")
        try:
            parts = urllib3.util.parse_url(proxy)
            headers = urllib3.make_headers(proxy_basic_auth=parts.auth) if parts.auth else None
            bare = parts._replace(auth=None).url
            pool = urllib3.ProxyManager(bare, maxsize=most, proxy_headers=headers, ssl_context=tls)
        except (failures.HTTPError, ValueError):
            raise unusable from None  # not `from err`: there may be a password in it
        if not parts.host:
            raise unusable
        return pool


class _reported:  # noqa: N801  # reads as what it is: `with _reported(...)`
    """Turn what the HTTP library raises into a `RequestError` about the request."""

    def __init__(self, shown: str, url: str) -> None:
        self._shown = shown
        self._host = urlsplit(url).netloc.rpartition("@")[2]

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, failures.HTTPError | OSError):
            # Not `from error`: its text may hold what is secret.
            raise _request_error(self._shown, self._host, error) from None


def _request_error(shown: str, host: str, error: BaseException) -> RequestError:
    inner = tuple(_causes(error))
    for err in inner:
        if isinstance(err, ssl.SSLCertVerificationError):
            return RequestError(
                f"the certificate of {host} is not trusted: {err.verify_message}",
                hint="trust its authority with --cert-dir DIR, where it is *.crt, "
                "or do without with --no-tls-verify",
            )
    if any(isinstance(err, ssl.SSLError) and _NOT_TLS.search(str(err)) for err in inner):
        return RequestError(
            f"{host} does not speak TLS",
            hint="--plain-http is for registries without it",
            plain=True,
        )
    if any(isinstance(err, failures.ProxyError) for err in inner):
        host = "the proxy"
    return _unanswered(shown, host, inner)


def _unanswered(  # noqa: PLR0911  # one for each way to fail
    shown: str, host: str, inner: Sequence[BaseException]
) -> RequestError:
    """What to make of an exchange that ended without an answer."""
    names = {type(err).__name__ for err in inner}
    system = next((e.strerror for e in inner if isinstance(e, OSError) and e.strerror), None)
    if "NameResolutionError" in names:
        return RequestError(f"the name of {host} cannot be resolved")
    if "NewConnectionError" in names:
        cause = f"{host} cannot be reached: {system or 'no connection'}"
        return RequestError(cause, temporary=True, at_once=True)
    if "ConnectTimeoutError" in names:
        return RequestError(f"{host} cannot be reached: timed out", temporary=True)
    if names & {"ReadTimeoutError", "TimeoutError"}:
        return RequestError(f"{shown} was not answered in time", temporary=True)
    if "BadStatusLine" in names:
        return RequestError(
            f"{host} does not answer as an HTTP server does",
            hint="if it speaks TLS, leave out --plain-http",
        )
    if host == "the proxy":
        return RequestError("the proxy does not let us through")
    return RequestError(f"{shown}: the connection was closed", temporary=True, at_once=True)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception, and all that led to it: as arguments and causes.

    Not as contexts: those reach back to what was being handled before the request.
    """
    waiting, seen = [error], set()
    while waiting:
        err = waiting.pop(0)
        if id(err) not in seen:
            seen.add(id(err))
            yield err
            followers = (err.__cause__, *err.args)
            waiting += [e for e in followers if isinstance(e, BaseException)]
