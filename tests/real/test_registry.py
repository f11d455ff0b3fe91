"""`nix2oci push` and a real registry, with and without what goes wrong between them."""

import json
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from real.engines import ClientEngine, Job, output, wait_until
from real.images import NIX2OCI, TAG, Images, Layout
from real.test_conformance import free_port, listens
from support.certificates import Certificates
from support.fakeregistry import CANARY, PASSWORD, USER
from support.pushing import SECRETS
from support.tools import require

PROGRAM = "redis-server"
HTPASSWD = f"{USER}:$2b$05$dnL991oDwcM2tm4JeRbwfuces6PjTZnab37roasdDuZElFlH/wWkO\n"
"""bcrypt, of `PASSWORD`."""

Completed = subprocess.CompletedProcess[str]


@dataclass
class Registry:
    """A docker-registry of its own, that can be killed and come back with what it has."""

    state: Path
    port: int = field(default_factory=free_port)
    settings: dict[str, Any] = field(default_factory=dict)
    http: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        require("docker-registry")
        storage = {
            "filesystem": {"rootdirectory": str(self.state / "registry")},
            "delete": {"enabled": True},
        }
        http = {"addr": self.host, **self.http}
        config = {"version": "0.1", "storage": storage, "http": http, **self.settings}
        self.state.mkdir(exist_ok=True)
        (self.state / "config.yml").write_text(json.dumps(config))
        with (self.state / "log").open("ab") as log:
            argv = ("docker-registry", "serve", self.state / "config.yml")
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_until(lambda: listens(self.port), (self.state / "log").read_text)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)

    def puts(self) -> list[str]:
        """Its own record of what was sent, as `PATH`."""
        log = (self.state / "log").read_text()
        return re.findall(r'"(?:PUT|PATCH) (/v2/\S+/blobs/uploads/\S+) HTTP', log)


@contextmanager
def serving(state: Path, **more: Any) -> Iterator[Registry]:
    registry = Registry(state, **more)
    registry.start()
    try:
        yield registry
    finally:
        registry.kill()


@dataclass
class Pusher:
    """Pushes an image as someone who has a password, in every detail that can be shown."""

    layout: Layout
    home: Path
    said: list[str] = field(default_factory=list)

    def argv(self, host: str, *options: str) -> list[str]:
        source = f"oci:{self.layout.path}:{TAG}"
        return [NIX2OCI, "push", "-vvv", *options, source, f"{host}/team/app:{TAG}"]

    def env(self, **more: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],  # noqa: TID251
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            **more,
        }

    def push(self, host: str, *options: str, **env: str) -> Completed:
        done = subprocess.run(
            self.argv(host, *options), env=self.env(**env), capture_output=True, text=True,
            check=False, timeout=300,
        )  # fmt: skip
        self.said += [done.stdout, done.stderr]
        return done

    def arrives(self, host: str, *options: str, name: str | None = None, **env: str) -> Completed:
        """Push, and see that what is printed is what the layout has."""
        done = self.push(host, *options, **env)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{name or host}/team/app@{self.layout.descriptor['digest']}\n"
        return done


@pytest.fixture
def pusher(images: Images, tmp_path: Path) -> Iterator[Pusher]:
    pusher = Pusher(images.layout(PROGRAM), tmp_path)
    yield pusher
    assert [secret for secret in SECRETS if any(secret in text for text in pusher.said)] == []


def fetched(host: str, to: Path, *options: str) -> Layout:
    """The image as skopeo has it from there."""
    require("skopeo")
    copy = ("skopeo", "copy", "--insecure-policy", "--quiet", "--preserve-digests", *options)
    output(*copy, f"docker://{host}/team/app:{TAG}", f"oci:{to}:{TAG}")
    return Layout(to)


def same(layout: Layout, other: Layout) -> bool:
    return layout.descriptor["digest"] == other.descriptor["digest"] and all(
        layout.blob(digest).read_bytes() == other.blob(digest).read_bytes()
        for digest in (*layout.layers, layout.manifest["config"]["digest"])
    )


@pytest.mark.parametrize("relative", [True, False], ids=["relative addresses", "whole addresses"])
def test_skopeo_gets_back_what_was_pushed(
    pusher: Pusher, tmp_path: Path, *, relative: bool
) -> None:
    with serving(tmp_path / "state", http={"relativeurls": relative}) as registry:
        pusher.arrives(registry.host)
        back = fetched(registry.host, tmp_path / "back", "--src-tls-verify=false")
    assert same(pusher.layout, back)


def test_a_second_push_sends_no_blob(pusher: Pusher, tmp_path: Path) -> None:
    with serving(tmp_path / "state") as registry:
        pusher.arrives(registry.host)
        sent = len(registry.puts())
        done = pusher.arrives(registry.host)
        assert len(registry.puts()) == sent == len(pusher.layout.layers) + 1
    assert "sent no blob" in done.stderr


def test_a_blob_that_was_deleted_is_sent_again(pusher: Pusher, tmp_path: Path) -> None:
    with serving(tmp_path / "state") as registry:
        pusher.arrives(registry.host)
        digest = pusher.layout.layers[0]
        require("curl")
        url = f"http://{registry.host}/v2/team/app/blobs/{digest}"
        output("curl", "--silent", "--fail", "--noproxy", "*", "-X", "DELETE", url)
        done = pusher.arrives(registry.host)
        assert "sent 1 blob, " in done.stderr
        back = fetched(registry.host, tmp_path / "back", "--src-tls-verify=false")
    assert same(pusher.layout, back)


def test_a_blob_is_mounted_from_another_repository(pusher: Pusher, tmp_path: Path) -> None:
    with serving(tmp_path / "state") as registry:
        pusher.arrives(registry.host)
        source = f"oci:{pusher.layout.path}:{TAG}"
        argv = [NIX2OCI, "push", "--mount-from", "team/app", source, f"{registry.host}/other:1"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, env=pusher.env())
        number = len(pusher.layout.layers) + 1
        assert f"sent no blob; {number} from another repository" in done.stderr


@pytest.mark.parametrize("who", ["environment", "podman login"])
def test_a_registry_with_a_password_and_tls_lets_us_in(
    pusher: Pusher, tmp_path: Path, who: str
) -> None:
    (tmp_path / "made").mkdir()
    made = Certificates.make(tmp_path / "made")
    certs = made.copy(tmp_path / "certs", "ca.crt")
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    tls = {"certificate": f"{made.directory}/server.cert", "key": f"{made.directory}/server.key"}
    auth = {"auth": {"htpasswd": {"realm": "test", "path": str(tmp_path / "htpasswd")}}}
    with serving(tmp_path / "state", http={"tls": tls}, settings=auth) as registry:
        cert = f"--cert-dir={certs}"
        assert pusher.push(registry.host).returncode == 6, "the certificate was believed"
        assert pusher.push(registry.host, cert).returncode == 7, "everyone may push"
        wrong = {"NIX2OCI_USERNAME": USER, "NIX2OCI_PASSWORD": f"{CANARY}-wrong"}
        assert pusher.push(registry.host, cert, **wrong).returncode == 7
        if who == "environment":
            done = pusher.arrives(
                registry.host, cert, NIX2OCI_USERNAME=USER, NIX2OCI_PASSWORD=PASSWORD
            )
            source = "NIX2OCI_USERNAME and NIX2OCI_PASSWORD"
        else:
            require("podman")
            source = str(tmp_path / "auth.json")
            argv = ["podman", "login", f"--authfile={source}", cert, f"--username={USER}",
                    "--password-stdin", registry.host]  # fmt: skip
            subprocess.run(argv, input=PASSWORD.encode(), check=True, capture_output=True)
            done = pusher.arrives(registry.host, cert, REGISTRY_AUTH_FILE=source)
        assert f"using credentials from {source} for {registry.host}/team/app" in done.stderr
        back = fetched(
            registry.host, tmp_path / "back", f"--src-cert-dir={certs}",
            f"--src-creds={USER}:{PASSWORD}",
        )  # fmt: skip
    assert same(pusher.layout, back)


def test_plain_http_to_a_registry_with_tls_is_explained(pusher: Pusher, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    made = Certificates.make(tmp_path / "made")
    tls = {"certificate": f"{made.directory}/server.cert", "key": f"{made.directory}/server.key"}
    with serving(tmp_path / "state", http={"tls": tls}) as registry:
        done = pusher.push(registry.host, "--plain-http")
    assert done.returncode == 6
    assert "hint: it speaks TLS: leave out --plain-http\n" in done.stderr


@pytest.mark.parametrize("name", ["podman", "docker"])
def test_an_engine_pulls_and_runs_what_was_pushed(
    pusher: Pusher, tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    engine: ClientEngine = request.getfixturevalue(f"{name}_engine")
    insecure = ("--tls-verify=false",) if name == "podman" else ()
    with serving(tmp_path / "state") as registry:
        reference = pusher.arrives(registry.host).stdout.strip()
        output(*engine.client, "pull", "--quiet", *insecure, reference)
        done = engine.run(Job(reference, ("--version",)))
        output(*engine.client, "rmi", "--force", reference)
    assert done.stdout.startswith("Redis server v="), done.stderr


def test_the_other_commands_read_what_was_pushed(pusher: Pusher, tmp_path: Path) -> None:
    with serving(tmp_path / "state") as registry:
        pusher.arrives(registry.host)
        name = f"{registry.host}/team/app:{TAG}"
        here = output(NIX2OCI, "inspect", pusher.layout.path)
        assert output(NIX2OCI, "inspect", name) == here
        assert f"{name} is valid: 0 errors" in output(NIX2OCI, "validate", name)


# --- what goes wrong between us ----------------------------------------------------------------


@dataclass
class Between:
    """What stands between a client and a registry: connections go through `handle`."""

    target: int
    handle: Callable[["Between", socket.socket, int], bool]
    """Told of a new connection and its number; whether it was dealt with."""
    port: int = 0
    connections: int = 0
    passed: int = 0
    """Bytes from the client."""
    on_bytes: Callable[["Between"], None] = lambda _: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def serve(self, client: socket.socket) -> None:
        with self.lock:
            self.connections += 1
            number = self.connections
        with client, suppress(OSError):
            if self.handle(self, client, number):
                return
            with socket.create_connection(("127.0.0.1", self.target)) as server:
                back = threading.Thread(target=self.pump, args=(server, client), daemon=True)
                back.start()
                self.pump(client, server, count=True)
                back.join(60)

    def pump(self, one: socket.socket, other: socket.socket, *, count: bool = False) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
                if count:
                    with self.lock:
                        self.passed += len(data)
                    self.on_bytes(self)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def between(
    registry: Registry, handle: Callable[[Between, socket.socket, int], bool], **more: Any
) -> Iterator[Between]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        made = Between(registry.port, handle, listener.getsockname()[1], **more)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=made.serve, args=(client,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(20)


def test_a_registry_that_is_killed_and_comes_back_gets_the_image(
    pusher: Pusher, tmp_path: Path
) -> None:
    total = sum(layer["size"] for layer in pusher.layout.manifest["layers"])
    killed = threading.Event()

    with serving(tmp_path / "state") as registry:

        def kill_in_the_middle(them: Between) -> None:
            if them.passed > total // 2 and not killed.is_set():
                killed.set()
                registry.kill()
                registry.start()

        with between(registry, lambda *_: False, on_bytes=kill_in_the_middle) as them:
            done = pusher.arrives(them.host)
        back = fetched(registry.host, tmp_path / "back", "--src-tls-verify=false")
    assert killed.is_set()
    assert f"sent {len(pusher.layout.layers) + 1} blobs, " in done.stderr
    assert same(pusher.layout, back)


def test_a_registry_that_was_killed_gets_only_what_it_lacks(pusher: Pusher, tmp_path: Path) -> None:
    total = sum(layer["size"] for layer in pusher.layout.manifest["layers"])
    with serving(tmp_path / "state") as registry:

        def kill(them: Between) -> None:
            if them.passed > total // 2:
                registry.kill()

        # No one waits half a minute for a registry in a test: the push is ended, too.
        with between(registry, lambda *_: False, on_bytes=kill) as them:
            with subprocess.Popen(
                pusher.argv(them.host, "--jobs=1"), env=pusher.env(), text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            ) as process:  # fmt: skip
                assert registry.process is not None
                registry.process.wait(120)
                process.terminate()
                out, err = process.communicate(timeout=120)
            pusher.said += [out, err]
            assert (process.returncode, out) == (130, "")
        registry.start()
        before = sum(1 for line in err.splitlines() if re.search(r"PUT \S+/uploads/\S+: 201", line))
        done = pusher.arrives(registry.host)
        rest = len(pusher.layout.layers) + 1 - before
        assert before > 0
        assert f"sent {rest} blob" in done.stderr
        back = fetched(registry.host, tmp_path / "back", "--src-tls-verify=false")
    assert same(pusher.layout, back)


def test_every_third_connection_may_be_dropped(pusher: Pusher, tmp_path: Path) -> None:
    def drop(_: Between, client: socket.socket, number: int) -> bool:
        if number % 3:
            return False
        client.recv(100)
        return True

    with serving(tmp_path / "state") as registry, between(registry, drop) as them:
        pusher.arrives(them.host)
        assert them.connections >= 3, "nothing was dropped"
        back = fetched(registry.host, tmp_path / "back", "--src-tls-verify=false")
    assert same(pusher.layout, back)


def test_a_registry_that_is_busy_for_five_seconds_is_waited_for(
    pusher: Pusher, tmp_path: Path
) -> None:
    busy_until = time.monotonic() + 3600
    begun = threading.Event()

    def busy(_: Between, client: socket.socket, number: int) -> bool:
        nonlocal busy_until
        if number == 1:
            return False  # how to talk to it, and who we are
        if not begun.is_set():
            begun.set()
            busy_until = time.monotonic() + 5
        if time.monotonic() > busy_until:
            return False
        while b"\r\n\r\n" not in client.recv(1 << 16):
            pass
        client.sendall(
            b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 2\r\n"
            b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        return True

    with serving(tmp_path / "state") as registry, between(registry, busy) as them:
        done = pusher.arrives(them.host)
        assert "answered 429; next try in 2 s" in done.stderr
        back = fetched(registry.host, tmp_path / "back", "--src-tls-verify=false")
    assert same(pusher.layout, back)
