"""A binary cache without Nix: signed records, NARs, and a web server that fails as told."""

from __future__ import annotations

import base64
import bz2
import hashlib
import itertools
import lzma
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support.fakestore import Node, nar, store_path

from nix2oci.model.closure import StorePath, to_base32

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "xz": lzma.compress,
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "none": bytes,
}


@dataclass
class Key:
    """A key that signs; the same for each name."""

    name: str

    @property
    def _secret(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(self.name.encode()).digest())

    @property
    def public(self) -> str:
        raw = self._secret.public_key().public_bytes_raw()
        return f"{self.name}:{base64.b64encode(raw).decode()}"

    def sign(self, text: str) -> str:
        return f"{self.name}:{base64.b64encode(self._secret.sign(text.encode())).decode()}"


@dataclass
class FakeCache:
    """The cache in a directory: `record` and `nar_file` are files that a test may change."""

    directory: Path
    key: Key = field(default_factory=lambda: Key("cache.test-1"))

    def __post_init__(self) -> None:
        (self.directory / "nar").mkdir(parents=True, exist_ok=True)
        (self.directory / "nix-cache-info").write_text("StoreDir: /nix/store\nPriority: 40\n")

    @property
    def url(self) -> str:
        return f"file://{self.directory}"

    def add(
        self,
        name: str,
        node: Node,
        references: Sequence[StorePath] = (),
        compression: str = "zstd",
        path: StorePath | None = None,
    ) -> StorePath:
        """Put a store path there, signed."""
        path, data = path or store_path(name), nar(node)
        packed = COMPRESSIONS[compression](data)
        file = f"nar/{path.hash_part}.nar"
        (self.directory / file).write_bytes(packed)
        lines = {
            "StorePath": str(path),
            "URL": file,
            "Compression": compression,
            "FileSize": str(len(packed)),
            "NarHash": f"sha256:{to_base32(hashlib.sha256(data).digest())}",
            "NarSize": str(len(data)),
            "References": " ".join(sorted(each.base for each in references)),
        }
        self.record(path).write_text("".join(f"{k}: {v}\n" for k, v in lines.items()))
        self.sign(path)
        return path

    def record(self, path: StorePath) -> Path:
        return self.directory / f"{path.hash_part}.narinfo"

    def nar_file(self, path: StorePath) -> Path:
        return self.directory / f"nar/{path.hash_part}.nar"

    def edit(self, path: StorePath, name: str, value: str) -> None:
        """Change a field of a record, or take it out; signatures stay as they are."""
        text = self.record(path).read_text()
        line = f"{name}: {value}\n" if value else ""
        self.record(path).write_text(re.sub(rf"(?m)^{name}: .*\n", line, text))

    def sign(self, path: StorePath, key: Key | None = None) -> None:
        """Sign a record as it is now, by that key alone."""
        text = re.sub(r"(?m)^Sig: .*\n", "", self.record(path).read_text())
        known = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
        names = known.get("References", "").split()
        references = ",".join(f"/nix/store/{name}" for name in sorted(names))
        said = (known["StorePath"], known["NarHash"], known["NarSize"], references)
        signature = (key or self.key).sign(";".join(("1", *said)))
        self.record(path).write_text(f"{text}Sig: {signature}\n")


Fault = Callable[["_Handler", bytes], bool]
"""What is done instead of an answer with that content; whether that was all."""


@dataclass
class CacheServer:
    """The cache on the web. `faults` are asked in turn for each request."""

    cache: FakeCache
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: Counter[str] = field(default_factory=Counter)
    host: str = ""
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"

    @property
    def nars(self) -> list[str]:
        return [path for path in self.asked if path.startswith("/nar/")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    shown: CacheServer

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        """Nix asks so whether a record is there."""
        there = (self.shown.cache.directory / self.path.lstrip("/")).is_file()
        self.answer(200 if there else 404, b"")

    def do_GET(self) -> None:
        shown = self.shown
        shown.asked.append(self.path)
        shown.headers.append({name.lower(): value for name, value in self.headers.items()})
        shown.times[self.path] += 1
        file = shown.cache.directory / urlsplit(self.path).path.lstrip("/")
        data = file.read_bytes() if file.is_file() else b""
        if any(fault(self, data) for fault in shown.faults):
            return
        if not file.is_file():
            self.answer(404, b"")
            return
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if begin:
            at = int(begin[1])
            span = f"bytes {at}-{len(data) - 1}/{len(data)}"
            self.answer(206, data[at:], {"Content-Range": span})
        else:
            self.answer(200, data)

    def answer(
        self,
        status: int,
        data: bytes,
        headers: dict[str, str] | None = None,
        cut: int | None = None,
    ) -> None:
        """With `cut` the connection is closed after so many bytes of the body."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[:cut])
        if cut is not None:
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """A client that went away is what some tests are about."""


@contextmanager
def served(
    cache: FakeCache, *faults: Fault, tls: ssl.SSLContext | None = None
) -> Iterator[CacheServer]:
    """The cache at a port of this machine."""
    shown = CacheServer(cache, list(faults))
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"shown": shown}))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        shown.scheme = "https"
    shown.host = f"127.0.0.1:{server.server_port}"
    options: dict[str, Any] = {"poll_interval": 0.02}
    thread = threading.Thread(target=server.serve_forever, kwargs=options, daemon=True)
    thread.start()
    try:
        yield shown
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --- faults: each is about paths that hold a text -------------------------------------------------


def cut(text: str, after: int, times: int = 1, *, ranges: bool = True) -> Fault:
    """The connection ends after so many bytes of a body, for the first requests."""

    def fault(handler: _Handler, data: bytes) -> bool:
        if text not in handler.path or handler.shown.times[handler.path] > times:
            return False
        at = int(handler.headers.get("Range", "bytes=0-")[6:-1]) if ranges else 0
        span = {"Content-Range": f"bytes {at}-{len(data) - 1}/{len(data)}"} if at else {}
        handler.answer(206 if at else 200, data[at:], span, cut=after)
        return True

    return fault


def lost(share: float) -> Fault:
    """By chance requests are read, and then the connection is closed; the same ones each time."""
    count = itertools.count()

    def fault(handler: _Handler, _: bytes) -> bool:
        number = hashlib.sha256(b"%d" % next(count)).digest()
        is_lost = int.from_bytes(number[:4], "big") < share * (1 << 32)
        handler.close_connection |= is_lost
        return is_lost

    return fault


def status(text: str, code: int, times: int = 1 << 30, **headers: str) -> Fault:
    """Another status than 200, for the first requests."""

    def fault(handler: _Handler, _: bytes) -> bool:
        if text not in handler.path or handler.shown.times[handler.path] > times:
            return False
        handler.answer(
            code, b"", {name.replace("_", "-"): value for name, value in headers.items()}
        )
        return True

    return fault


def without_ranges(text: str) -> Fault:
    """Whatever part is asked for, all of it is sent."""

    def fault(handler: _Handler, data: bytes) -> bool:
        if text in handler.path and "Range" in handler.headers:
            handler.answer(200, data)
            return True
        return False

    return fault


def endless(text: str) -> Fault:
    """A body without a length that goes on for ever."""

    def fault(handler: _Handler, _: bytes) -> bool:
        if text not in handler.path:
            return False
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        while True:
            handler.wfile.write(bytes(1 << 16))

    return fault


def closed_early(text: str, after: int, times: int = 1) -> Fault:
    """A body without a length that ends too early, for the first requests."""

    def fault(handler: _Handler, data: bytes) -> bool:
        if text not in handler.path or handler.shown.times[handler.path] > times:
            return False
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(data[:after])
        handler.close_connection = True
        return True

    return fault
