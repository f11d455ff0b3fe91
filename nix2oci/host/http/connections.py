"""Connections as the HTTP library makes them, with what it leaves open.

Whom a name leads to is judged before anything is sent there, and the head of an answer, with all
interim answers before it, has one deadline, as has each piece of a body: a server that sends a byte
of it a second, `100 Continue` or trailers for ever, never runs into a limit on each read.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
from collections.abc import Callable
from functools import partialmethod
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3 import connection, exceptions

from nix2oci.host.http.addresses import Reach, address_of, reach, reach_of
from nix2oci.host.http.request_error import RequestError
from nix2oci.host.http.socks import SocksError, SocksProxy

Now = Callable[[], float]
Resolve = Callable[[str, int], list[str]]
Dial = Callable[[connection.HTTPConnection], socket.socket]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, the best first; raises `socket.gaierror`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Dialer:
    """Connects to one server and to what it names, as far as it may name that."""

    def __init__(self, host: str, resolve: Resolve = resolve) -> None:
        self._host = host
        self._resolve = resolve
        self.reach = reach(host) or Reach.PUBLIC
        """Of the server: by its address, or as soon as it was connected to by name."""

    def direct(self, to: connection.HTTPConnection) -> socket.socket:
        """A connection to a host, whose addresses are judged unless it is the server's own.

        Raises what the library does where there is none, and `RequestError`.
        """
        host = to._dns_host  # noqa: SLF001  # the name with its last dot, as resolvers want it
        try:
            addresses = self._resolve(host, to.port)
        except socket.gaierror as err:
            raise exceptions.NameResolutionError(to.host, to, err) from err
        is_own = to.host.lower() == self._host
        if not is_own:
            addresses = self._allowed(to.host, addresses)
        made = _first(to, addresses)
        if is_own:
            self.reach = _reach_of(str(made.getpeername()[0]))
        return made

    def _allowed(self, host: str, addresses: list[str]) -> list[str]:
        allowed = [each for each in addresses if self.reach.may_lead_to(_reach_of(each))]
        if not allowed:
            where = host if address_of(host) else f"{host}, at {addresses[0]}"
            raise RequestError(f"it leads to {where}, which is not a public address")
        return allowed


def through(proxy: SocksProxy) -> Dial:
    """What connects through a SOCKS5 proxy."""

    def dial(to: connection.HTTPConnection) -> socket.socket:
        try:
            made = _connected(to, proxy.host, proxy.port)
        except (OSError, exceptions.HTTPError) as err:
            raise exceptions.ProxyError("no connection", err) from err
        try:
            proxy.connect(made, to.host, to.port)
        except SocksError as err:
            made.close()
            raise RequestError(
                f"the proxy does not connect us to {to.host}: {err}", temporary=err.temporary
            ) from err
        except BaseException:
            made.close()
            raise
        return made

    return dial


def _reach_of(address: str) -> Reach:
    return reach_of(ipaddress.ip_address(address.partition("%")[0]))


def _first(to: connection.HTTPConnection, addresses: list[str]) -> socket.socket:
    """A connection to the first address that takes one."""
    for address in addresses[:-1]:
        try:
            return _connected(to, address, to.port)
        except exceptions.HTTPError:
            continue
    return _connected(to, addresses[-1], to.port)


def _connected(to: connection.HTTPConnection, host: str, port: int) -> socket.socket:
    """What the library does in the same place, for a host of our choice."""
    try:
        return urllib3.util.connection.create_connection(
            (host, port),
            to.timeout,
            source_address=to.source_address,
            socket_options=to.socket_options,
        )
    except socket.gaierror as err:
        raise exceptions.NameResolutionError(host, to, err) from err
    except TimeoutError as err:
        raise exceptions.ConnectTimeoutError(to, "timed out") from err
    except OSError as err:
        raise exceptions.NewConnectionError(to, str(err)) from err


class _Timed(io.RawIOBase):
    """What comes over a socket, as a file; before `end` it is waited for until then only."""

    def __init__(self, file: io.RawIOBase, sock: socket.socket, now: Now) -> None:
        self._file = file
        self._sock = sock
        self._now = now
        self._seconds = sock.gettimeout()
        self.limit()

    def limit(self) -> None:
        """From now on all reads together have the time of one."""
        self._end = None if self._seconds is None else self._now() + self._seconds

    def no_limit(self) -> None:
        """From now on each read has its own time."""
        self._end = None
        self._sock.settimeout(self._seconds)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        if self._end is not None:
            left = self._end - self._now()
            if left <= 0:
                raise TimeoutError("too little of the answer came in time")
            self._sock.settimeout(left)
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Known(http.client.HTTPResponse):
    """The method of the standard library that reads a status line, which has no declared type."""

    if TYPE_CHECKING:

        def _read_status(self) -> tuple[str, int, str]: ...


class _Response(_Known):
    """An answer whose parts have deadlines; interim answers (RFC 9110, 15.2) are passed over."""

    now: Now

    def __init__(self, sock: socket.socket, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self._timed = _Timed(self.fp.detach(), sock, self.now)
        self.fp = io.BufferedReader(self._timed)

    def begin(self) -> None:
        super().begin()
        self._timed.no_limit()

    def read1(self, n: int = -1) -> bytes:
        """What came next of the body; sizes of chunks, and what is behind the last, count as it."""
        self._timed.limit()
        found = super().read1(n)
        if self.fp is not None:  # else this was all, and the socket may be gone
            self._timed.no_limit()
        return found

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()
            if status in (100, 101) or status >= 200:
                return version, status, reason
            http.client.parse_headers(self.fp)


def _dialed(to: connection.HTTPConnection, dial: Dial) -> socket.socket:
    return dial(to)


def pool_classes(now: Now, dial: Dial | None = None) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """Classes for a `PoolManager`: connections that `dial` makes, by default the library's own."""
    response = type("Response", (_Response,), {"now": staticmethod(now)})
    extra: dict[str, Any] = {"response_class": response}
    if dial is not None:
        extra["_new_conn"] = partialmethod(_dialed, dial)
    plain = type("Connection", (connection.HTTPConnection,), extra)
    secure = type("SecureConnection", (connection.HTTPSConnection,), extra)
    return {
        "http": type("Pool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("SecurePool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": secure}),
    }
