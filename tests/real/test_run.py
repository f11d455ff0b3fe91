"""Images of real programs do their work under real engines, as the user 65532."""

import json
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest
from real.engines import Container, Engine, Job, Mount, Runc, output, wait_until
from real.images import NONROOT, Images, closure_of, nix2oci
from support.tools import require

PROGRAMS = ("redis-server", "nginx", "git", "python3-flask", "postgresql")
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
    """A socket that the image's user has made: proof of who runs the program."""
    wait_until(path.is_socket, container.logs)
    assert path.stat().st_uid == NONROOT
    return path


def test_redis_answers_ping_and_ends_when_told(engine: Engine, images: Images, share: Path) -> None:
    args = ("--port", "0", "--unixsocket", "/srv/socket", "--dir", "/srv")
    job = Job(images.loaded(engine, "redis-server"), args, mounts=(writable(share),))
    with engine.start(job) as container:
        assert ask(await_socket(share / "socket", container), b"PING\r\n") == "+PONG\r\n"
        client = container.exec("/usr/bin/redis-cli", "-s", "/srv/socket", "ping")
        assert client.stdout == "PONG\n"
        assert container.stop() == 0


def test_nginx_serves_a_page(engine: Engine, images: Images, share: Path) -> None:
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


def test_git_clones_a_local_repository(engine: Engine, images: Images, share: Path) -> None:
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


def test_flask_serves_a_request(engine: Engine, images: Images, share: Path) -> None:
    (share / "hello.py").write_text(FLASK)
    job = Job(
        images.loaded(engine, "python3-flask"),
        ("--app", "/srv/hello.py", "run", "--host", "unix:///srv/socket"),
        mounts=(writable(share),),
    )
    with engine.start(job) as container:
        body = get(await_socket(share / "socket", container), "/world")
        assert body == f"hello world, from user {NONROOT}"


def test_postgres_answers_a_query_from_a_writable_data_directory(
    engine: Engine, images: Images, share: Path
) -> None:
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


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_unpacked_store_path_has_its_nar_hash_but_for_launchers(
    program: str, images: Images, runc_engine: Runc
) -> None:
    rootfs = runc_engine.rootfs(images.loaded(runc_engine, program))
    (entrypoint,) = images.layout(program).config["config"]["Entrypoint"]
    closure = closure_of("/".join(entrypoint.split("/")[:4]))
    assert [f"/nix/store/{name}" for name in sorted(os.listdir(rootfs / "nix/store"))] == closure
    recorded = output("nix-store", "--query", "--hash", *closure).split()
    unpacked = [f"{rootfs}{path}" for path in closure]
    hashes = output("nix-hash", "--type", "sha256", "--base32", *unpacked).split()
    others = {p for p, h, r in zip(closure, hashes, recorded, strict=True) if f"sha256:{h}" != r}
    launchers = json.loads(nix2oci("inspect", "--json", images.archive(program)))["launchers"]
    assert others == {"/".join(path.split("/")[:4]) for path in launchers}
    for path in others:
        tree = ("diff", "--recursive", "--no-dereference", "--brief", path, f"{rootfs}{path}")
        done = subprocess.run(tree, capture_output=True, text=True, check=False)
        mine = [each for each in launchers if each.startswith(path)]
        assert done.stdout == "".join(f"Files {p} and {rootfs}{p} differ\n" for p in mine)


@pytest.mark.parametrize("program", PROGRAMS)
def test_skopeo_copies_a_layout_and_keeps_its_digest(
    program: str, images: Images, tmp_path: Path
) -> None:
    require("skopeo")
    layout = images.layout(program)
    copy = tmp_path / "copy"
    source, target = f"oci:{layout.path}:1", f"oci:{copy}:1"
    output("skopeo", "copy", "--insecure-policy", "--quiet", "--preserve-digests", source, target)
    (descriptor,) = type(layout)(copy).index["manifests"]
    assert descriptor["digest"] == layout.descriptor["digest"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_engine_gives_the_archive_the_name_that_was_asked_for(
    program: str, engine: Engine, images: Images
) -> None:
    assert images.loaded(engine, program) == images.name(program)
