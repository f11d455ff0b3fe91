"""One request and its answer, over a connection that is kept for the next: the only user of HTTP.

The hard part is what can happen instead of an answer. All of it becomes a `RequestError` that says
whether another try makes sense, in words that hold no address with a secret in it. An answer is
read with a limit on bytes and on time, since a server may send one byte a second, for ever.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import urllib3
from msgspec import Struct, field
from urllib3 import exceptions as failures

from nix2oci.host.http.addresses import Reach
from nix2oci.host.http.connections import Dialer, pool_classes, through
from nix2oci.host.http.line import Advice, Line
from nix2oci.host.http.request_error import RequestError
from nix2oci.host.http.retry import TEMPORARY
from nix2oci.host.http.socks import SCHEMES, SocksProxy
from nix2oci.host.http.tls import context
from nix2oci.host.http.urls import redacted
from nix2oci.text import display

_PIECE = 64 << 10
_TUNNEL = re.compile(r"Tunnel connection failed: ([0-9]{3})")
_NOT_TLS = re.compile(
    r"wrong.version.number|record.layer.failure|unknown.protocol|packet.length", re.IGNORECASE
)


class Answer:
    """What a server answered. To be closed, best in a `with` block."""

    def __init__(
        self,
        method: str,
        url: str,
        response: urllib3.BaseHTTPResponse,
        line: Line,
        seconds: float,
        *,
        is_last: bool = False,
    ) -> None:
        """`is_last`: nothing more is sent over the connection."""
        self.method = method
        self.url = url
        self.status = response.status
        self._response = response
        self._line = line
        self._seconds = seconds
        self._is_last = is_last

    def header(self, name: str) -> str | None:
        """A header; several of one name are one, with commas."""
        return self._response.headers.get(name)

    def length(self) -> int | None:
        """What Content-Length says, where it is a number."""
        text = self.header("Content-Length") or ""
        known = text.isascii() and text.isdigit() and len(text) < 20
        return int(text) if known else None

    def read(self, most: int) -> bytes:
        """The body, but at most so many bytes; raises `RequestError`."""
        end = self._line.clock.now() + self._seconds
        data = b""
        while len(data) < most and (piece := self.piece(min(most - len(data), _PIECE))):
            data += piece
            if self._line.clock.now() > end:
                raise RequestError(
                    f"{self.shown} was not answered in full within {self._seconds:g} s",
                    temporary=True,
                )
        return data

    def piece(self, most: int = _PIECE) -> bytes:
        """What came next of the body, `b""` at its end; raises `RequestError`."""
        with _reported(self.shown, self.url, self._line.advice):
            return self._response.read1(most)

    @property
    def shown(self) -> str:
        """The request, as it may be shown."""
        return f"{self.method} {redacted(self.url)}"

    def close(self) -> None:
        """Give the connection back; close it where more than a little of the answer is left."""
        with suppress(failures.HTTPError, OSError):
            if not self._is_last and (self._response.length_remaining or 0) <= _PIECE:
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
    """Connections to a server and to what it names, kept open; for any number of threads."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._dialer = Dialer(urlsplit(f"//{line.host}").hostname or "")
        self._lock = Lock()
        if not line.verify:
            urllib3.disable_warnings(failures.InsecureRequestWarning)  # the user is told by us
        self._pools: dict[tuple[str | None, str], urllib3.PoolManager] = {}

    @property
    def reach(self) -> Reach:
        """How far the server reaches, as far as it is known: where it may lead to."""
        return self._dialer.reach

    def exchange(self, request: Request) -> Answer:
        """Send a request, follow nothing, and answer with whatever came back.

        Raises `RequestError` when nothing did.
        """
        url, shown = request.url, f"{request.method} {redacted(request.url)}"
        line = self._line
        seconds = min(request.seconds or line.read, line.read)
        connect = min(request.seconds or line.connect, line.connect)
        try:
            with _reported(shown, url, line.advice):
                response = self._pool(url).urlopen(
                    request.method,
                    url,
                    body=request.stream if request.stream is not None else request.body,
                    headers={"User-Agent": line.user_agent, **request.headers},
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                    timeout=urllib3.Timeout(connect=connect, read=seconds),
                )
        except RequestError as err:
            line.hear(f"{shown}: {err.cause}")
            raise
        line.hear(f"{shown}: {response.status}")
        is_last = request.headers.get("Connection") == "close"
        return Answer(request.method, url, response, line, seconds, is_last=is_last)

    def _pool(self, url: str) -> urllib3.PoolManager:
        key = (self._line.proxies.of(url), urlsplit(url).netloc)
        with self._lock:
            if key not in self._pools:
                self._pools[key] = self._new_pool(*key)
            return self._pools[key]

    def _new_pool(self, proxy: str | None, host: str) -> urllib3.PoolManager:
        line = self._line
        # What proves who we are is for the server, not for what it names.
        tls = context(
            host,
            line.authorities,
            line.cert_dir,
            verify=line.verify,
            own=line.cert_dir is None or host == line.host,
        )
        now, most = line.clock.now, line.connections
        if proxy is None or proxy.partition("://")[0].lower() in SCHEMES:
            dial = self._dialer.direct if proxy is None else through(_socks(proxy))
            made = urllib3.PoolManager(maxsize=most, ssl_context=tls)
            made.pool_classes_by_scheme = pool_classes(now, dial)
            return made
        return _through_http(proxy, tls, most, now)


def _socks(proxy: str) -> SocksProxy:
    try:
        return SocksProxy.parse(proxy)
    except ValueError:
        raise _unusable_proxy(proxy) from None  # not `from err`: there may be a password in it


def _through_http(
    proxy: str, tls: ssl.SSLContext, most: int, now: Callable[[], float]
) -> urllib3.PoolManager:
    try:
        parts = urllib3.util.parse_url(proxy)
        if not parts.host:
            raise _unusable_proxy(proxy)
        headers = urllib3.make_headers(proxy_basic_auth=parts.auth) if parts.auth else None
        bare = parts._replace(auth=None).url
        made = urllib3.ProxyManager(bare, maxsize=most, proxy_headers=headers, ssl_context=tls)
    except (failures.HTTPError, ValueError):
        raise _unusable_proxy(proxy) from None  # not `from err`: there may be a password in it
    made.pool_classes_by_scheme = pool_classes(now)
    return made


def _unusable_proxy(proxy: str) -> RequestError:
    scheme = proxy.partition("://")[0]
    known = scheme in {"http", "https", *SCHEMES}
    return RequestError(
        "the proxy that the environment names cannot be used"
        + (
            ""
            if known
            else f": '{display(scheme.encode())}' is no kind of proxy that is known here"
        ),
        hint=None if known else "a proxy is http://HOST:PORT, https://… or socks5://…",
    )


class _reported:  # noqa: N801  # reads as what it is: `with _reported(...)`
    """Turn what the HTTP library raises into a `RequestError` about the request."""

    def __init__(self, shown: str, url: str, advice: Advice) -> None:
        self._shown = shown
        self._advice = advice
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
            raise _request_error(self._shown, self._host, error, self._advice) from None


def _request_error(shown: str, host: str, error: BaseException, advice: Advice) -> RequestError:
    inner = tuple(_causes(error))
    for err in inner:
        if isinstance(err, ssl.SSLCertVerificationError):
            return RequestError(
                f"the certificate of {host} is not trusted: {err.verify_message}",
                hint=advice.untrusted or None,
            )
    if any(isinstance(err, ssl.SSLError) and _NOT_TLS.search(str(err)) for err in inner):
        return RequestError(
            f"{host} does not speak TLS",
            hint=advice.no_tls or None,
            plain=True,
        )
    if any(isinstance(err, failures.ProxyError) for err in inner):
        host = "the proxy"
        if refusal := _refused_tunnel(inner):
            return refusal
    return _unanswered(shown, host, inner, advice)


def _refused_tunnel(inner: Sequence[BaseException]) -> RequestError | None:
    """What to make of a proxy that answers a CONNECT with another status than 200."""
    found = next((match for err in inner if (match := _TUNNEL.search(str(err)))), None)
    if found is None:
        return None
    status = int(found[1])
    return RequestError(
        f"the proxy does not let us through: it answered {status}",
        hint="write HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT" if status == 407 else None,
        temporary=status in TEMPORARY,
        dropped=True,
    )


def _unanswered(
    shown: str, host: str, inner: Sequence[BaseException], advice: Advice
) -> RequestError:
    """What to make of an exchange that ended without an answer."""
    names = {type(err).__name__ for err in inner}
    system = next((e.strerror for e in inner if isinstance(e, OSError) and e.strerror), None)
    if "NameResolutionError" in names:
        again = any(isinstance(e, socket.gaierror) and e.errno == socket.EAI_AGAIN for e in inner)
        cause = f"the name of {host} cannot be resolved"
        return RequestError(cause, temporary=True, at_once=not again)
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
            hint=advice.maybe_tls or None,
        )
    hint = advice.maybe_tls or None if " http://" in shown else None
    cause = f"{shown}: the connection was closed"
    return RequestError(cause, hint=hint, temporary=True, at_once=True, dropped=True)


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
