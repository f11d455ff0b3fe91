"""Registries that can be killed, a pusher, and what stands between them."""

import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from real.engines import output, wait_until
from real.images import NIX2OCI, TAG, Layout
from real.ports import free_port, listens
from support import covered
from support.fakeregistry import USER
from support.tools import require

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
            **covered.environment(),
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
