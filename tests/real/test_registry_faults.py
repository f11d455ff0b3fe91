"""`nix2oci push` and a real registry that is killed, busy, or behind a bad line."""

import re
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from real.registries import Between, Pusher, between, fetched, same, serving

pytestmark = pytest.mark.slow


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
