"""A line to a registry that is cut after so many bytes, or loses requests by chance."""

from __future__ import annotations

import hashlib
import io
import itertools
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 1 << 16
_TLS = b"\x16"
"""What TLS begins with: this line has none."""


@dataclass
class BadLine:
    """What stands between a client and the registry at `target`; a port of this machine."""

    target: str
    cut_every: int = 0
    """The connection over which the byte of that number goes is closed, and again after as many."""
    each: bool = False
    """Whether the bytes of each connection are counted for themselves."""
    lost: float = 0
    """The share of requests that are read, and then the connection is closed."""
    seed: int = 0
    address: str = ""
    sent: int = 0
    """Bytes from clients to the registry."""
    requests: int = 0
    cuts: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._chance = itertools.count(self.seed << 32)

    def serve(self, client: socket.socket) -> None:
        """One connection, request after request."""
        host, _, port = self.target.rpartition(":")
        with client, suppress(OSError), socket.create_connection((host, int(port))) as registry:
            back = threading.Thread(target=_pump, args=(registry, client), daemon=True)
            back.start()
            with closing(client.makefile("rb")) as requests:
                if requests.peek(1)[:1] == _TLS:
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    return
                sent = 0
                while head := _head(requests):
                    if self._is_lost():
                        break
                    length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
                    body = int(length[1]) if length else 0
                    sent = self._pass_on(registry, head, requests, body, sent)
                    if sent < 0:
                        break
            for end in (client, registry):
                end.shutdown(socket.SHUT_RDWR)
            back.join(20)

    def _is_lost(self) -> bool:
        with self._lock:
            self.requests += 1
            number = hashlib.sha256(b"%d" % next(self._chance)).digest()  # the same each time
            lost = int.from_bytes(number[:4], "big") < self.lost * (1 << 32)
            self.cuts += lost
        return lost

    def _pass_on(
        self,
        registry: socket.socket,
        head: bytes,
        requests: io.BufferedReader,
        length: int,
        sent: int,
    ) -> int:
        """Send a request on; bytes of the connection so far, -1 where the line was cut."""
        data = head
        while True:
            registry.sendall(data)
            if self._is_cut(sent, len(data)):
                return -1
            sent += len(data)
            if not length:
                return sent
            data = requests.read(min(length, _CHUNK)) or b""
            length -= len(data)
            if not data:
                return -1

    def _is_cut(self, sent: int, count: int) -> bool:
        with self._lock:
            before = sent if self.each else self.sent
            self.sent += count
            every = self.cut_every or (1 << 62)
            is_cut = before // every < (before + count) // every
            self.cuts += is_cut
        return is_cut


def _head(requests: io.BufferedReader) -> bytes:
    """The head of the next request; nothing at the end."""
    head = b""
    with suppress(OSError):
        while not head.endswith(b"\r\n\r\n"):
            line = requests.readline()
            if not line:
                return b""
            head += line
    return head


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(_CHUNK):
            other.sendall(data)
        other.shutdown(socket.SHUT_RDWR)


@contextmanager
def bad_line(line: BadLine) -> Iterator[BadLine]:
    """The line, up for the length of a `with`, at `address`."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        line.address = f"127.0.0.1:{listener.getsockname()[1]}"

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=line.serve, args=(client,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield line
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(20)
