"""A registry in this process, which keeps the distribution specification until told otherwise.

`script` says what comes instead of the next answers to certain requests. Every request is noted,
with the host that it was meant for: as a proxy, which it is as well, it stands for any host.
"""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from support.smallimage import digest_of

_INDEX = "application/vnd.oci.image.index.v1+json"

CANARY = "c4n4ry"
"""Part of everything that is secret: passwords, tokens, the state of an upload."""
USER, PASSWORD = "alice", f"{CANARY}:pässword"


@dataclass(frozen=True)
class Seen:
    """A request that came in."""

    method: str
    path: str
    query: str
    host: str
    headers: Mapping[str, str]
    body: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


@dataclass
class Exchange:
    """A request, and the means to answer it."""

    registry: FakeRegistry
    handler: BaseHTTPRequestHandler
    method: str
    path: str
    query: Mapping[str, list[str]]
    seen: Seen

    def answer(
        self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> None:
        handler = self.handler
        handler.send_response(status)
        given = {"Content-Length": str(len(body)), **(headers or {})}
        for name, value in given.items():
            handler.send_header(name, value)
        handler.end_headers()
        if self.method != "HEAD":
            handler.wfile.write(body)

    def error(self, status: int, code: str, **detail: Any) -> None:
        document = {"errors": [{"code": code, "message": code.lower(), "detail": detail}]}
        self.answer(status, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def proceed(self) -> None:
        """Answer as a registry does."""
        self.registry.serve(self)

    def cut(self) -> None:
        """Close the connection as it is."""
        self.handler.close_connection = True
        with suppress(OSError):
            self.handler.connection.shutdown(socket.SHUT_RDWR)


Action = Callable[[Exchange], None]


def answer(status: int, body: bytes = b"", **headers: str) -> Action:
    """Answer with this; `retry_after="1"` is a header."""
    given = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return lambda exchange: exchange.answer(status, given, body)


def error(status: int, code: str) -> Action:
    """Answer with an error as the specification has it."""
    return lambda exchange: exchange.error(status, code)


def proceed(exchange: Exchange) -> None:
    """Answer as a registry does."""
    exchange.proceed()


def cut(exchange: Exchange) -> None:
    """Close the connection before any answer."""
    exchange.cut()


def cut_and_keep(exchange: Exchange) -> None:
    """Keep what came of an upload, and close the connection."""
    exchange.registry.keep(exchange.path, exchange.seen.body)
    exchange.cut()


def cut_after(exchange: Exchange) -> None:
    """Do what was asked, and close the connection before the answer."""
    real = exchange.handler.wfile
    exchange.handler.wfile = io.BytesIO()
    exchange.proceed()
    exchange.handler.wfile = real
    exchange.cut()


def with_headers(**more: str) -> Action:
    """Do what was asked, and add or change headers of the answer."""

    def act(exchange: Exchange) -> None:
        plain = exchange.answer

        def answer(
            status: int, headers: Mapping[str, str] | None = None, body: bytes = b""
        ) -> None:
            given = {name.replace("_", "-").title(): value for name, value in more.items()}
            plain(status, {**(headers or {}), **given}, body)

        exchange.answer = answer  # type: ignore[method-assign]
        exchange.proceed()

    return act


@dataclass
class _Rule:
    method: str
    path: str
    actions: list[Action]
    always: bool
    half: bool


@dataclass
class FakeRegistry:
    """A registry that is up, at `registry`."""

    registry: str = ""
    scheme: str = "http"
    blobs: dict[tuple[str, str], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    auth: str = ""
    """`basic`, `bearer`, or `""` for none."""
    realm: str = ""
    """Of the challenge; `""` is the registry's own."""
    token_life: int | None = None
    now: Callable[[], float] = lambda: 0.0
    """The time, by which tokens end."""
    tokens: dict[str, float] = field(default_factory=dict)
    location: Callable[[str], str | None] = lambda path: f"{path}?_state={CANARY}%2Fb&x="
    """What `Location` says of the path of a new upload session."""
    resumes: bool = True
    """Whether it says how much it has of an upload that broke."""
    lists_referrers: bool = False
    """Whether it has the API for what refers to a manifest."""
    page: int = 1000
    """How many referrers are on a page of that."""
    rules: list[_Rule] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    busy: list[str] = field(default_factory=list)
    """Paths of requests whose bodies are on their way."""
    counter: int = 0
    connections: int = 0
    """Those on which something was said."""
    server: ThreadingHTTPServer | None = None

    def script(
        self, method: str, path: str, *actions: Action, always: bool = False, half: bool = False
    ) -> None:
        """What comes of the next requests with that method, whose path matches somewhere.

        `always`: the last action again and again; `half`: begin it when half of the body is here.
        """
        self.rules.append(_Rule(method, path, list(actions), always, half))

    def calls(self, method: str = "", path: str = "") -> list[str]:
        """The requests so far that match, as `METHOD PATH`."""
        return [
            str(s)
            for s in self.seen
            if re.fullmatch(method or ".*", s.method) and re.search(path, s.path)
        ]

    def tags(self) -> set[str]:
        return {name for _, name in self.manifests if not name.startswith("sha256:")}

    def action(self, method: str, path: str) -> tuple[Action, bool]:
        with self.lock:
            for rule in self.rules:
                if re.fullmatch(rule.method, method) and re.search(rule.path, path):
                    if rule.always and len(rule.actions) == 1:
                        return rule.actions[0], rule.half
                    if rule.actions:
                        return rule.actions.pop(0), rule.half
        return proceed, False

    # --- the registry ------------------------------------------------------------------

    def serve(self, it: Exchange) -> None:
        with self.lock:
            if it.path == "/token":
                self._token(it)
            elif self.auth and not self._knows(it):
                it.answer(401, {"WWW-Authenticate": self._challenge(it)}, b"{}")
            elif it.path == "/v2/":
                it.answer(200)
            elif match := re.fullmatch(r"/v2/(.+)/blobs/uploads/(.*)", it.path):
                self._upload(it, match[1], match[2])
            elif match := re.fullmatch(r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})", it.path):
                self._blob(it, self.blobs.get((match[1], match[2])), match[2])
            elif match := re.fullmatch(r"/v2/(.+)/manifests/([^/]+)", it.path):
                self._manifest(it, match[1], match[2])
            elif self.lists_referrers and (
                match := re.fullmatch(r"/v2/(.+)/referrers/(sha256:[0-9a-f]{64})", it.path)
            ):
                self._referrers(it, match[1], match[2])
            else:
                it.answer(404, {}, b"404 page not found\n")

    def _challenge(self, it: Exchange) -> str:
        if self.auth == "basic":
            return 'Basic realm="a, \\"b\\""'
        realm = self.realm or f"{self.scheme}://{it.seen.host}/token"
        return f'Bearer realm="{realm}",service="fake, registry",scope="ignored"'

    def _knows(self, it: Exchange) -> bool:
        scheme, _, rest = (it.seen.authorization or "").partition(" ")
        if self.auth == "basic":
            return scheme == "Basic" and _is_alice(rest)
        return scheme == "Bearer" and self.tokens.get(rest, -1) > self.now()

    def _token(self, it: Exchange) -> None:
        scheme, _, rest = (it.seen.authorization or "").partition(" ")
        form = parse_qs(it.seen.body.decode())
        good = scheme == "Basic" and _is_alice(rest)
        if form.get("refresh_token") == [f"{CANARY}-identity"]:
            good = True
        if not good:
            it.error(401, "UNAUTHORIZED")
            return
        self.counter += 1
        token = f"{CANARY}-token-{self.counter}"
        self.tokens[token] = self.now() + (self.token_life or 60)
        life = {"expires_in": self.token_life} if self.token_life else {}
        it.answer(200, {}, json.dumps({"token": token, **life}).encode())

    def _upload(self, it: Exchange, repository: str, session: str) -> None:
        digest = next(iter(it.query.get("digest", ())), None)
        if it.method == "POST":
            self._begin(it, repository)
        elif session not in self.uploads or (it.method == "GET" and not self.resumes):
            it.error(404, "BLOB_UPLOAD_UNKNOWN")
        elif it.method == "GET":
            it.answer(204, {"Range": f"0-{max(len(self.uploads[session]) - 1, 0)}"})
        elif not self._follows(it, session):
            it.error(416, "RANGE_INVALID")
        elif it.method == "DELETE":
            del self.uploads[session]
            it.answer(204)
        elif it.method == "PATCH":
            self.uploads[session] += it.seen.body
            where = self.location(f"/v2/{repository}/blobs/uploads/{session}")
            it.answer(202, {"Location": where} if where else {})
        elif it.method == "PUT":
            data = bytes(self.uploads.pop(session)) + it.seen.body
            if digest is None or digest_of(data) != digest:
                it.error(400, "DIGEST_INVALID")
                return
            self.blobs[repository, digest] = data
            it.answer(201, {"Docker-Content-Digest": digest})

    def _follows(self, it: Exchange, session: str) -> bool:
        """Whether what is sent begins where what is there ends."""
        start = it.seen.headers.get("content-range", "").partition("-")[0]
        return not start or int(start) == len(self.uploads[session])

    @contextmanager
    def receiving(self, method: str, path: str) -> Iterator[None]:
        """While the body of a request is read; one that asks for an upload waits for that."""
        with self.arrived:
            if method == "GET":
                self.arrived.wait_for(lambda: path not in self.busy, 20)
            self.busy.append(path)
        try:
            yield
        finally:
            with self.arrived:
                self.busy.remove(path)
                self.arrived.notify_all()

    def keep(self, path: str, data: bytes) -> None:
        """Take what came of a body before the line was cut."""
        session = path.rpartition("/")[2]
        if self.resumes and session in self.uploads:
            self.uploads[session] += data

    def _begin(self, it: Exchange, repository: str) -> None:
        mount = next(iter(it.query.get("mount", ())), "")
        other = next(iter(it.query.get("from", ())), "")
        if (other, mount) in self.blobs:
            self.blobs[repository, mount] = self.blobs[other, mount]
            it.answer(201, {"Location": f"/v2/{repository}/blobs/{mount}"})
            return
        self.counter += 1
        session = f"session-{self.counter}"
        self.uploads[session] = bytearray()
        where = self.location(f"/v2/{repository}/blobs/uploads/{session}")
        it.answer(202, {"Location": where} if where is not None else {})

    def _blob(self, it: Exchange, data: bytes | None, digest: str) -> None:
        if data is None:
            it.error(404, "BLOB_UNKNOWN", digest=digest)
            return
        start = re.fullmatch(r"bytes=(\d+)-", it.seen.headers.get("range", ""))
        body = data[int(start[1]) :] if start else data
        it.answer(206 if start else 200, {"Docker-Content-Digest": digest}, body)

    def _manifest(self, it: Exchange, repository: str, name: str) -> None:
        if it.method == "PUT":
            self._put_manifest(it, repository, name)
            return
        kind, data = self.manifests.get((repository, name), ("", b""))
        if not kind:
            it.error(404, "MANIFEST_UNKNOWN")
            return
        it.answer(200, {"Content-Type": kind, "Docker-Content-Digest": digest_of(data)}, data)

    def referrers(self, repository: str, subject: str) -> list[dict[str, Any]]:
        """What refers to a manifest, in the order in which it came (distribution, Referrers)."""
        found: dict[str, dict[str, Any]] = {}
        for (where, name), (kind, data) in self.manifests.items():
            document = json.loads(data)
            if (where, name) != (repository, digest_of(data)):
                continue
            if document.get("subject", {}).get("digest") == subject:
                described = {"mediaType": kind, "digest": name, "size": len(data)}
                said = document.get("artifactType") or document.get("config", {}).get("mediaType")
                notes = document.get("annotations")
                more = {"artifactType": said, "annotations": notes}
                found[name] = described | {key: value for key, value in more.items() if value}
        return list(found.values())

    def _referrers(self, it: Exchange, repository: str, subject: str) -> None:
        begin = int(it.query.get("from", ["0"])[0])
        found = self.referrers(repository, subject)
        shown, left = found[begin : begin + self.page], found[begin + self.page :]
        body = json.dumps({"schemaVersion": 2, "mediaType": _INDEX, "manifests": shown})
        link = {"Link": f'<{it.path}?from={begin + self.page}>; rel="next"'} if left else {}
        it.answer(200, {"Content-Type": _INDEX, **link}, body.encode())

    def _put_manifest(self, it: Exchange, repository: str, name: str) -> None:
        document = json.loads(it.seen.body)
        config = [document["config"]] if "config" in document else []
        for blob in (*config, *document.get("layers", ())):
            if (repository, blob["digest"]) not in self.blobs:
                it.error(400, "MANIFEST_BLOB_UNKNOWN", Digest=blob["digest"])
                return
        for child in document.get("manifests", ()):
            if (repository, child["digest"]) not in self.manifests and not name.startswith(
                "sha256-"
            ):
                it.error(400, "MANIFEST_UNKNOWN", Digest=child["digest"])
                return
        digest = digest_of(it.seen.body)
        entry = (it.seen.headers["content-type"], it.seen.body)
        self.manifests[repository, name] = self.manifests[repository, digest] = entry
        more = {}
        if self.lists_referrers and "subject" in document:
            more = {"OCI-Subject": document["subject"]["digest"]}
        it.answer(201, {"Docker-Content-Digest": digest, **more})


def _is_alice(encoded: str) -> bool:
    return base64.b64decode(encoded).decode() == f"{USER}:{PASSWORD}"
