"""The fake registry behind a port of this machine, with or without TLS."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.fakeregistry import Exchange, FakeRegistry, Seen


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: FakeRegistry

    said = False

    def log_message(self, *_: object) -> None:
        pass

    def _do(self) -> None:
        with self.registry.lock:
            self.registry.connections += not self.said
            self.said = True
        parts = urlsplit(self.path)
        host = parts.netloc or self.headers.get("Host", "")
        action, half = self.registry.action(self.command, parts.path)
        length = int(self.headers.get("Content-Length", "0"))
        with self.registry.receiving(self.command, parts.path):
            body = self.rfile.read(length // 2 if half else length)
            if len(body) < length and not half:
                self.registry.keep(parts.path, body)  # the line was cut
                self.close_connection = True
                return
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, parts.path, parts.query, host, headers, body)
        with self.registry.lock:
            self.registry.seen.append(seen)
        query = parse_qs(parts.query, keep_blank_values=True)
        exchange = Exchange(self.registry, self, self.command, parts.path, query, seen)
        action(exchange)
        if half:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _do  # noqa: N815


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """TLS begins here, in the thread of the connection."""
        if self.tls is not None:
            request = self.tls.wrap_socket(request, server_side=True)
        try:
            super().finish_request(request, client_address)
        finally:
            with suppress(OSError):
                request.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is what some tests are about."""


@contextmanager
def running(registry: FakeRegistry, tls: ssl.SSLContext | None = None) -> Iterator[FakeRegistry]:
    """The registry, up for the length of a `with`; the port stays its own if it has one."""
    handler = type("Handler", (_Handler,), {"registry": registry})
    port = int(registry.registry.rpartition(":")[2] or 0)
    server = _Server(("127.0.0.1", port), handler)
    server.tls = tls
    registry.server = server
    registry.scheme = "https" if tls else "http"
    registry.registry = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def stop_listening(server: ThreadingHTTPServer) -> None:
    """Refuse connections from now on; those that stand are served on.

    The loop ends before its socket is closed: while it polls, the kernel keeps the socket open.
    """
    server.shutdown()
    server.server_close()
