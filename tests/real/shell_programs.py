"""Real programs, each with a piece of its real work: what it must still do without a shell."""

from __future__ import annotations

import base64
import json
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

from real.ports import free_port
from real.traced_root import TracedRoot

Work = Callable[[TracedRoot], None]


@dataclass(frozen=True)
class Program:
    """A package of the stand-in for nixpkgs. `debian` is Debian's name, `does` says what `work` is.

    One without `work` is only planned: it keeps its shell, or never had one.
    """

    name: str
    debian: str = ""
    start: str = ""
    does: str = ""
    work: Work | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def package(self) -> str:
        return self.debian or self.name


def fetch(url: str, data: bytes | None = None) -> bytes:
    """What a server answers that may still be starting."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, data, timeout=10) as answer:
                body: bytes = answer.read()
                return body
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at {url}")


def talk(port: int, data: bytes, size: int) -> bytes:
    """The first `size` bytes that a server says after it was told something."""
    for _ in range(300):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(data)
                with connection.makefile("rb") as answer:
                    return answer.read(size)
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at port {port}")


@contextmanager
def page(text: str) -> Iterator[int]:
    """A server of one page, for clients."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0\1\2\3" * 2)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


# --- what each does ------------------------------------------------------------------------------


def haproxy(root: TracedRoot) -> None:
    port = free_port()
    root.write(
        "/tmp/haproxy.cfg",
        "defaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 5s\n"
        f"frontend f\n bind 127.0.0.1:{port}\n"
        ' http-request return status 200 content-type text/plain string "hello"\n',
    )
    with root.start("-db", "-f", "/tmp/haproxy.cfg"):
        assert fetch(f"http://127.0.0.1:{port}/") == b"hello"


def mosquitto(root: TracedRoot) -> None:
    port = free_port()
    root.write("/tmp/m.conf", f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"
    with root.start("-c", "/tmp/m.conf"):
        assert talk(port, connect, 4) == b"\x20\x02\x00\x00"


def redis(root: TracedRoot) -> None:
    port = free_port()
    with root.start("--port", str(port), "--save", "", "--dir", "/tmp"):
        assert talk(port, b"SET a 42\r\nGET a\r\n", 13) == b"+OK\r\n$2\r\n42\r\n"[:13]


def prometheus(root: TracedRoot) -> None:
    port = free_port()
    root.write("/tmp/p.yml", "global: {}\n")
    address = f"127.0.0.1:{port}"
    options = (f"--web.listen-address={address}", "--storage.tsdb.path=/tmp/data")
    with root.start("--config.file=/tmp/p.yml", *options):
        answer = json.loads(fetch(f"http://{address}/api/v1/query?query=1%2B1"))
        assert answer["data"]["result"][1] == "2"


def gunicorn(root: TracedRoot) -> None:
    port = free_port()
    root.write(
        "/tmp/app.py",
        "def app(environ, start):\n start('200 OK', [('Content-Type', 'text/plain')])\n"
        " return [b'hello from ' + environ['PATH_INFO'].encode()]\n",
    )
    with root.start("--chdir", "/tmp", "--bind", f"127.0.0.1:{port}", "app:app"):
        assert fetch(f"http://127.0.0.1:{port}/page") == b"hello from /page"


def memcached(root: TracedRoot) -> None:
    port = free_port()
    with root.start("-l", "127.0.0.1", "-p", str(port), "-u", "root"):
        assert talk(port, b"set a 0 0 2\r\n42\r\nget a\r\n", 8) == b"STORED\r\n"


def exiftool(root: TracedRoot) -> None:
    root.write("/tmp/a.png", _png())
    (found,) = json.loads(root.run("-json", "/tmp/a.png"))
    assert (found["ImageWidth"], found["ImageHeight"]) == (3, 2)


def ack(root: TracedRoot) -> None:
    root.write("/tmp/a.txt", "one\nhello two\n")
    assert root.run("hello", "/tmp/a.txt").strip() == "hello two"


def httpie(root: TracedRoot) -> None:
    with page("hello") as port:
        assert root.run("--ignore-stdin", "--body", f"http://127.0.0.1:{port}/").strip() == "hello"


def borgbackup(root: TracedRoot) -> None:
    root.write("/tmp/a.txt", "precious")
    root.run("init", "--encryption", "none", "/tmp/repo")
    root.run("create", "/tmp/repo::first", "/tmp/a.txt")
    assert "tmp/a.txt" in root.run("list", "/tmp/repo::first")


def lighttpd(root: TracedRoot) -> None:
    port = free_port()
    root.write("/tmp/index.html", "hello")
    root.write(
        "/tmp/l.conf",
        f'server.document-root = "/tmp"\nserver.port = {port}\nserver.bind = "127.0.0.1"\n'
        'index-file.names = ( "index.html" )\n',
    )
    with root.start("-D", "-f", "/tmp/l.conf"):
        assert fetch(f"http://127.0.0.1:{port}/") == b"hello"


def nginx(root: TracedRoot) -> None:
    port = free_port()
    places = "".join(
        f"{name}_temp_path /tmp/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    root.write(
        "/tmp/n.conf",
        "daemon off; user root root; pid /tmp/n.pid; error_log stderr; events {}\n"
        f"http {{ access_log off; {places}\n"
        f' server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello"; }} }} }}\n',
    )
    with root.start("-c", "/tmp/n.conf", "-e", "stderr"):
        assert fetch(f"http://127.0.0.1:{port}/") == b"hello"


def etcd(root: TracedRoot) -> None:
    url, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    options = ("--data-dir=/tmp/etcd", f"--listen-client-urls={url}")
    peers = (f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}")
    cluster = f"--initial-cluster=default={peer}"
    key = base64.b64encode(b"a").decode()
    with root.start(*options, f"--advertise-client-urls={url}", *peers, cluster):
        assert b"etcdserver" in fetch(f"{url}/version")
        fetch(f"{url}/v3/kv/put", json.dumps({"key": key, "value": key}).encode())
        answer = json.loads(fetch(f"{url}/v3/kv/range", json.dumps({"key": key}).encode()))
        assert answer["kvs"][0]["value"] == key


def socat(root: TracedRoot) -> None:
    port = free_port()
    with root.start(f"TCP4-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr", "PIPE"):
        assert talk(port, b"hello", 5) == b"hello"


def web(root: TracedRoot) -> None:
    port = free_port()
    with root.start(env={"PORT": str(port)}):
        assert b"hello" in fetch(f"http://127.0.0.1:{port}/").lower()


PROGRAMS: tuple[Program, ...] = (
    Program("haproxy", does="answers a request", work=haproxy),
    Program("mosquitto", does="takes a client", work=mosquitto),
    Program("redis", "redis-server", "redis-server", "keeps a value", redis),
    Program("prometheus", does="answers a query", work=prometheus),
    Program("memcached", does="keeps a value", work=memcached),
    Program("libimage-exiftool-perl", start="exiftool", does="reads a picture", work=exiftool),
    Program("ack", does="finds a line", work=ack),
    Program("nginx", does="answers a request", work=nginx),
    Program("etcd-server", start="etcd", does="keeps a value", work=etcd),
    Program("socat", start="socat", does="sends an echo", work=socat),
    Program("lighttpd", start="lighttpd", does="serves a file", work=lighttpd),
    Program("gunicorn", start="gunicorn", does="serves a page of WSGI", work=gunicorn),
    Program("httpie", start="http", does="fetches a page", work=httpie),
    Program("borgbackup", start="borg", does="makes a backup and lists it", work=borgbackup),
    Program("certbot", start="certbot"),
    Program("yt-dlp", start="yt-dlp"),
    Program("awscli", start="aws"),
    Program("ansible-core", start="ansible"),
    Program("mercurial", start="hg"),
    Program("gdb", start="gdb"),
    Program("git", start="git"),
    Program("postgresql", start="postgres"),
    Program("unbound", start="unbound"),
    Program("rsync", start="rsync"),
    Program("tor", start="torify"),
    Program("graphviz", start="dot"),
    Program("sqlite3", start="sqlite3"),
    Program("puma", start="puma"),
)
"""In the order of the table of docs/shell.md: by how the shell goes, if it does."""
