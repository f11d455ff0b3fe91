"""A registry that answers with the bytes that a run wants, and closes after what is no answer."""

from __future__ import annotations

import io
import re
import socketserver
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

_MOST = 1 << 22


def http(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer as a registry sends it."""
    given = {"Content-Length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} Said", *(f"{k.replace('_', '-')}: {v}" for k, v in given.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Shelf:
    """What a registry has, and how a run wants it changed."""

    manifests: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)
    """Media type and bytes, by tag or digest."""
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    challenge: str = ""
    """What everyone is asked who has no `Authorization`; `HOST` stands for the registry."""
    change: Callable[[str, bytes], bytes] = lambda _, answer: answer
    """Called with what was asked for, and how often before, and the answer."""

    def answer(self, method: str, path: str, proof: str, host: str) -> bytes:
        path, name = path.partition("?")[0], path.partition("?")[0].rpartition("/")[2]
        if path == "/token":
            return http(200, b'{"token": "abc", "expires_in": 60}')
        if self.challenge and not proof:
            return http(401, b"{}", WWW_Authenticate=self.challenge.replace("HOST", host))
        if method not in ("GET", "HEAD") or "/blobs/uploads/" in path:
            place = f"/v2/team/web/blobs/uploads/{name or 'session'}"
            code = {"POST": 202, "PATCH": 202, "PUT": 201, "GET": 204}.get(method, 204)
            return http(code, Location=place, Range="0-0")
        return self._stored(path, name)

    def _stored(self, path: str, name: str) -> bytes:
        if "/manifests/" in path and name in self.manifests:
            kind, data = self.manifests[name]
            return http(200, data, Content_Type=kind)
        if "/blobs/" in path and name in self.blobs:
            return http(200, self.blobs[name])
        if path == "/v2/" or "/referrers/" in path:
            return http(200, b"{}")
        return http(404, b'{"errors": [{"code": "X"}]}')


class Scripted(socketserver.ThreadingTCPServer):
    """Serves a shelf, which is another one for each run."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    shelf = Shelf()

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: Counter[str] = Counter()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def put(self, shelf: Shelf) -> None:
        self.shelf, self.asked = shelf, Counter()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what runs are about."""


class _Handler(socketserver.StreamRequestHandler):
    server: Scripted
    rfile: io.BufferedReader
    disable_nagle_algorithm = True

    def handle(self) -> None:
        shelf = self.server.shelf
        if self.rfile.peek(1)[:1] == b"\x16":
            return  # TLS, of which it knows nothing
        while shelf is self.server.shelf and (line := self.rfile.readline(_MOST)):
            method, path, *_ = [*line.decode("latin-1").split(), "", ""]
            headers: dict[str, str] = {}
            while (line := self.rfile.readline(_MOST)).strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            self.rfile.read(min(int(headers.get("content-length", "0")), _MOST))
            proof = headers.get("authorization", "")
            good = shelf.answer(method, path, proof, self.server.host)
            what = f"{method} {re.sub('[0-9a-f]{64}', '', path)}"
            self.server.asked[what] += 1
            said = shelf.change(f"{what} {self.server.asked[what]}", good)
            head = said.partition(b"\r\n\r\n")[0]
            with suppress(OSError):
                self.wfile.write(head + b"\r\n\r\n" if method == "HEAD" and said == good else said)
            if said != good:
                return


@contextmanager
def scripted() -> Iterator[Scripted]:
    """The server, up for the length of a `with`."""
    with Scripted() as server:
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
