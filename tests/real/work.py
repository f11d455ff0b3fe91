"""What programs of images are there for, done by them: each under an engine, as the user 65532.

Each takes an engine, the images, and a directory that the image's user may write.
"""

import re
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from real.engines import Container, Engine, Job, Mount, output, wait_until
from real.images import NONROOT, Images

PAGE = "<p>served from the store</p>\n"

NGINX = """\
daemon off;
pid /srv/nginx.pid;
events { }
http {
  access_log off;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  server {
    listen unix:/srv/socket;
    root /srv/pages;
  }
}
"""

FLASK = """\
import os
from flask import Flask
app = Flask(__name__)

@app.get("/<name>")
def greet(name):
    return f"hello {name}, from user {os.getuid()}"
"""


def writable(share: Path) -> Mount:
    return Mount(share, "/srv", read_only=False)


def ask(path: Path, question: bytes) -> str:
    """What a server at a socket answers, until it has said it all."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(question)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            return answer.read().decode()


def get(path: Path, url: str) -> str:
    """The body of an HTTP/1.0 answer."""
    head, _, body = ask(path, f"GET {url} HTTP/1.0\r\n\r\n".encode()).partition("\r\n\r\n")
    assert re.match(r"HTTP/1\.\d 200 ", head), head
    return body


def await_socket(path: Path, container: Container) -> Path:
    """A socket that the image's user has made, and listens to: proof of who runs the program."""
    wait_until(lambda: listens(path), container.logs)
    assert path.stat().st_uid == NONROOT
    return path


def listens(path: Path) -> bool:
    """Whether a server answers at a socket: between `bind` and `listen` it is there and refuses."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True


def redis(engine: Engine, images: Images, share: Path) -> None:
    """It answers, has a client that answers, and ends when told."""
    args = ("--port", "0", "--unixsocket", "/srv/socket", "--dir", "/srv")
    job = Job(images.loaded(engine, "redis-server"), args, mounts=(writable(share),))
    with engine.start(job) as container:
        assert ask(await_socket(share / "socket", container), b"PING\r\n") == "+PONG\r\n"
        client = container.exec("/usr/bin/redis-cli", "-s", "/srv/socket", "ping")
        assert client.stdout == "PONG\n"
        assert container.stop() == 0


def nginx(engine: Engine, images: Images, share: Path) -> None:
    """It serves a page."""
    (share / "nginx.conf").write_text(NGINX)
    (share / "pages").mkdir()
    (share / "pages" / "index.html").write_text(PAGE)
    job = Job(
        images.loaded(engine, "nginx"),
        ("-e", "stderr", "-c", "/srv/nginx.conf"),
        mounts=(writable(share),),
    )
    with engine.start(job) as container:
        assert get(await_socket(share / "socket", container), "/") == PAGE
        assert container.stop() == 0


def git(engine: Engine, images: Images, share: Path) -> None:
    """It clones a local repository."""
    source = share / "source"
    make_repository(source)
    job = Job(
        images.loaded(engine, "git"),
        ("clone", "--no-hardlinks", "/src", "/srv/copy"),
        mounts=(Mount(source, "/src"), writable(share)),
    )
    done = engine.run(job)
    assert done.returncode == 0, done.stderr
    assert (share / "copy" / "page.html").read_text() == PAGE
    assert (share / "copy").stat().st_uid == NONROOT


def make_repository(path: Path) -> None:
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
    output("git", "init", "-q", path)
    (path / "page.html").write_text(PAGE)
    output("git", "-C", path, "add", ".")
    output("git", "-C", path, *who, "commit", "-q", "-m", "A page")
    output("chown", "-R", f"{NONROOT}:{NONROOT}", path)


def flask(engine: Engine, images: Images, share: Path) -> None:
    """It serves a request."""
    (share / "hello.py").write_text(FLASK)
    job = Job(
        images.loaded(engine, "python3-flask"),
        ("--app", "/srv/hello.py", "run", "--host", "unix:///srv/socket"),
        mounts=(writable(share),),
    )
    with engine.start(job) as container:
        body = get(await_socket(share / "socket", container), "/world")
        assert body == f"hello world, from user {NONROOT}"


def postgresql(engine: Engine, images: Images, share: Path) -> None:
    """It answers a query from a writable data directory."""
    make_cluster(images, share / "data")
    job = Job(
        images.loaded(engine, "postgresql"),
        ("-D", "/srv/data", "-k", "/srv", "-c", "listen_addresses="),
        mounts=(writable(share),),
    )
    query = "create table t as select generate_series(1, 9) n; select sum(n) from t"
    with engine.start(job) as container:
        await_socket(share / ".s.PGSQL.5432", container)
        wait_until(lambda: "ready to accept connections" in container.logs(), container.logs)
        client = ("/usr/bin/psql", "-h", "/srv", "-U", "postgres", "-Atq", "-c", query)
        done = container.exec(*client)
        assert (done.stdout, done.stderr) == ("45\n", "")
        assert container.stop() == 0


def make_cluster(images: Images, data: Path) -> None:
    """A new database cluster of the image's user.

    initdb runs on the machine, as `nobody`: it starts its parts with /bin/sh, which the
    image does not have, and wants to find its own user.
    """
    (postgres,) = images.layout("postgresql").config["config"]["Entrypoint"]
    data.mkdir()
    output("chown", "65534:65534", data)
    data.parent.chmod(0o755)
    options = ("--username=postgres", "--auth=trust", "--no-locale", "--encoding=UTF8", "--no-sync")
    initdb = (Path(postgres).with_name("initdb"), f"--pgdata={data}", *options)
    output("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *initdb)
    output("chown", "-R", f"{NONROOT}:{NONROOT}", data)


Work = Callable[[Engine, Images, Path], None]

WORK: Mapping[str, Work] = {
    "redis-server": redis,
    "nginx": nginx,
    "git": git,
    "python3-flask": flask,
    "postgresql": postgresql,
}
"""By the package that has the program."""
