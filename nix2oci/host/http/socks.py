"""Connecting through a SOCKS5 proxy (RFC 1928), with a user name and password (RFC 1929).

Of that protocol a client needs three messages, which have not changed since 1996. The proxy is
given names, not addresses: what stands behind it knows names that this machine does not.
"""

from __future__ import annotations

import socket
import struct
from urllib.parse import unquote, urlsplit

from msgspec import Struct

SCHEMES = frozenset({"socks5", "socks5h"})
"""Of the addresses that name such a proxy; both leave names to the proxy, as in Go's programs."""

_PORT = 1080
_NO_PASSWORD, _PASSWORD = 0, 2
_REFUSALS = {
    1: "it failed",
    2: "its rules do not allow it",
    3: "the network is unreachable",
    4: "the host is unreachable",
    5: "the connection was refused",
    6: "it took too long",
}
_TEMPORARY = frozenset({1, 3, 4, 5, 6})


class SocksError(Exception):
    """The proxy does not connect us; the text says why."""

    def __init__(self, cause: str, *, temporary: bool = False) -> None:
        super().__init__(cause)
        self.temporary = temporary


class SocksProxy(Struct, frozen=True):
    """A proxy, and who we are to it."""

    host: str
    port: int
    username: str = ""
    password: str = ""

    def __repr__(self) -> str:  # without what is secret
        return f"SocksProxy(host={self.host!r}, port={self.port!r})"

    @classmethod
    def parse(cls, url: str) -> SocksProxy:
        """Read `socks5://[USER:PASSWORD@]HOST[:PORT]`; `ValueError` for anything else."""
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise ValueError("it is no SOCKS5 proxy")
        username, password = unquote(parts.username or ""), unquote(parts.password or "")
        if max(len(username.encode()), len(password.encode())) > 255:
            raise ValueError("its user name or password is too long")
        return cls(parts.hostname, parts.port or _PORT, username, password)

    def connect(self, to: socket.socket, host: str, port: int) -> None:
        """Have the proxy, to which `to` is connected, connect us; `SocksError`, `OSError`."""
        methods = bytes([_NO_PASSWORD, _PASSWORD] if self.username else [_NO_PASSWORD])
        to.sendall(bytes([5, len(methods)]) + methods)
        version, method = _exactly(to, 2)
        if version != 5:
            raise SocksError("it does not speak SOCKS5")
        if method == _PASSWORD and self.username:
            self._log_in(to)
        elif method != _NO_PASSWORD:
            raise SocksError("it wants a user name and password that it knows")
        to.sendall(bytes([5, 1, 0]) + _address(host) + struct.pack("!H", port))
        version, refusal, _, kind = _exactly(to, 4)
        if version != 5 or refusal:
            cause = _REFUSALS.get(refusal, f"it answered {refusal}")
            raise SocksError(cause, temporary=refusal in _TEMPORARY)
        bound = {1: 4, 4: 16}.get(kind) or _exactly(to, 1)[0]
        _exactly(to, bound + 2)

    def _log_in(self, to: socket.socket) -> None:
        username, password = self.username.encode(), self.password.encode()
        to.sendall(bytes([1, len(username)]) + username + bytes([len(password)]) + password)
        if _exactly(to, 2)[1]:
            raise SocksError("it does not accept the user name and password")


def _address(host: str) -> bytes:
    """A destination as the protocol has it: an address, or a name behind its length."""
    for family, kind in ((socket.AF_INET, 1), (socket.AF_INET6, 4)):
        try:
            return bytes([kind]) + socket.inet_pton(family, host)
        except OSError:
            continue
    name = host.encode("idna")
    return bytes([3, len(name)]) + name


def _exactly(sender: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = sender.recv(count - len(data))
        if not piece:
            raise SocksError("it closed the connection", temporary=True)
        data += piece
    return data
