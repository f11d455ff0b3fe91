"""What can stand between us and a registry: names, proxies, heads without end, other hosts."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from support.fakeregistry import CANARY, Exchange, FakeRegistry, answer
from support.fakeserver import running
from support.pushing import ALICE, REPOSITORY, Desk, cause

from nix2oci.errors import RegistryError
from nix2oci.host.http import connections
from nix2oci.host.http.addresses import Reach
from nix2oci.host.http.proxies import Proxies
from nix2oci.host.http.socks import SocksProxy
from nix2oci.oci.registry.client_options import Timeouts
from nix2oci.oci.registry.environment import RegistryEnvironment

MANIFEST = "/manifests/"
Names = Callable[[dict[str, list[str] | int]], None]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Names and their addresses, or the error of a resolver; each used up but for the last."""

    def use(known: dict[str, list[str] | int]) -> None:
        real = socket.getaddrinfo

        def look_up(host: str, port: int, *args: object, **more: object) -> object:
            found = known.get(host)
            if found is None:
                return real(host, port, *args, **more)  # type: ignore[arg-type]
            if isinstance(found, int):
                del known[host]
                raise socket.gaierror(found, "no")
            return [(0, 0, 0, "", (address, port)) for address in found]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return use


def named(desk: Desk, host: str = "localhost") -> Desk:
    """The registry under a name of this machine."""
    desk.address = f"{host}:{desk.registry.registry.rpartition(':')[2]}"
    return desk


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [socket.EAI_AGAIN, socket.EAI_NONAME])
def test_a_name_that_cannot_be_resolved_once_is_asked_for_again(
    desk: Desk, names: Names, error: int
) -> None:
    names({"localhost": error})
    named(desk).push()
    assert desk.is_complete()


def test_a_name_that_is_none_is_an_error_after_two_tries(desk: Desk) -> None:
    desk.address = "no.such.host.invalid"
    with pytest.raises(RegistryError) as caught:
        desk.push()
    assert cause(caught.value) == ("the name of no.such.host.invalid cannot be resolved (2 tries)")


# --- where a registry may lead --------------------------------------------------------------------


@pytest.mark.parametrize("address", ["10.0.0.7", "169.254.169.254", "192.168.0.1", "fe80::1"])
def test_a_name_that_leads_away_from_this_machine_is_not_followed(
    desk: Desk, names: Names, address: str
) -> None:
    """The name is judged by what it resolves to: a registry on this machine has none there."""
    names({"storage.example": [address]})
    away = answer(307, b"", location="http://storage.example/x")
    desk.registry.script("HEAD", "/blobs/", away, always=True)
    with pytest.raises(RegistryError) as caught:
        desk.push()
    assert cause(caught.value) == (
        f"it leads to storage.example, at {address}, which is not a public address"
    )


def test_storage_of_this_machine_is_for_a_registry_of_this_machine(
    desk: Desk, names: Names
) -> None:
    names({"storage.example": ["127.0.0.1"]})
    port = desk.registry.registry.rpartition(":")[2]
    desk.account, desk.registry.auth = ALICE, "basic"

    def away(exchange: Exchange) -> None:
        if exchange.seen.host.startswith("storage.example"):
            exchange.error(404, "BLOB_UNKNOWN")
        else:
            exchange.answer(307, {"Location": f"http://storage.example:{port}{exchange.path}"})

    desk.registry.script("HEAD", "/blobs/", away, always=True)
    desk.push()
    assert desk.is_complete()
    there = [s for s in desk.registry.seen if s.host.startswith("storage.example")]
    assert {s.authorization for s in there} == {None}
    assert there


def test_a_redirect_to_another_port_does_not_say_who_we_are(desk: Desk) -> None:
    desk.account, desk.registry.auth = ALICE, "basic"
    with running(FakeRegistry()) as other:
        away = answer(307, b"", location=f"http://{other.registry}/x")
        desk.registry.script("HEAD", "/blobs/", away, always=True)
        desk.push()
        assert {s.authorization for s in other.seen} == {None}
        assert other.seen
    assert desk.is_complete()


def test_another_registry_that_asks_gets_a_token_for_anyone(desk: Desk) -> None:
    """A name of one's own may lead to a registry that wants to know who asks."""
    desk.push()
    with running(FakeRegistry()) as facade:
        desk.registry.auth = "bearer"
        desk.registry.script("GET", "/token", answer(200, b'{"token": "anyone"}'), always=True)
        desk.registry.tokens["anyone"] = desk.time.time + 60
        facade.script(
            ".*",
            ".*",
            lambda it: it.answer(307, {"Location": f"http://{desk.registry.registry}{it.path}"}),
            always=True,
        )
        desk.address, desk.account = facade.registry, ALICE
        desk.registry.seen.clear()
        desk.push()
        assert {s.authorization for s in facade.seen} == {None}
    asked = [s for s in desk.registry.seen if s.path == "/token"]
    assert {s.authorization for s in asked} == {None}
    assert {s.authorization for s in desk.registry.seen} == {None, "Bearer anyone"}


# --- heads of answers -----------------------------------------------------------------------------


def drip(text: bytes, seconds: float) -> Callable[[Exchange], None]:
    """Say this again and again, each time after so long."""

    def act(exchange: Exchange) -> None:
        try:
            while True:
                exchange.handler.wfile.write(text)
                exchange.handler.wfile.flush()
                time.sleep(seconds)
        except OSError:
            exchange.cut()

    return act


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n", id="interim answers"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", id="other interim answers"),
        pytest.param(b"H", id="one byte of the head"),
    ],
)
def test_a_head_that_never_ends_is_given_up(desk: Desk, text: bytes) -> None:
    desk.registry.script("PUT", MANIFEST + "1.0", drip(text, 0.05), always=True)
    clock = desk.time.clock
    begun = time.monotonic()
    real = clock.__class__(time.monotonic, clock.wait, clock.jitter)
    with pytest.raises(RegistryError) as caught:
        desk.push(timeouts=Timeouts(connect=5, read=0.3), clock=real)
    assert time.monotonic() - begun < 20
    assert "/manifests/1.0 was not answered in time (6 tries)" in str(caught.value) or (
        "does not answer as an HTTP server does" in str(caught.value)
    )


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "text"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", id="headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", b"y", id="one header"),
        pytest.param(CHUNKED, b"0", id="the size of a chunk"),
        pytest.param(CHUNKED + b"1;", b"x", id="what is said of a chunk"),
        pytest.param(CHUNKED, b"1\r\n \r\n", id="chunks"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n", id="trailers"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\nX: ", b"y", id="one trailer"),
    ],
)
def test_an_answer_that_comes_slowly_for_ever_is_given_up(
    desk: Desk, head: bytes, text: bytes
) -> None:
    """Each wait is short; only all of them together are too long."""
    desk.account, desk.registry.auth = ALICE, "bearer"
    slow = drip(text, 0.05)

    def act(exchange: Exchange) -> None:
        exchange.handler.wfile.write(head)
        slow(exchange)

    desk.registry.script("GET", "/token", act, always=True)
    clock = desk.time.clock
    begun = time.monotonic()
    real = clock.__class__(time.monotonic, clock.wait, clock.jitter)
    with pytest.raises(RegistryError):
        desk.push(timeouts=Timeouts(connect=5, read=0.3), clock=real)
    assert time.monotonic() - begun < 20


def test_interim_answers_are_passed_over(desk: Desk) -> None:
    def hint(exchange: Exchange) -> None:
        for head in (b"HTTP/1.1 100 Continue", b"HTTP/1.1 103 Early Hints\r\nLink: x"):
            exchange.handler.wfile.write(head + b"\r\n\r\n")
        exchange.proceed()

    desk.registry.script("PUT", MANIFEST, hint, always=True)
    desk.push()
    assert desk.is_complete()


def test_a_length_that_no_blob_has_does_no_harm(desk: Desk) -> None:
    def lie(exchange: Exchange) -> None:
        exchange.handler.close_connection = True
        exchange.answer(200, {"Content-Length": "9" * 5000})

    desk.registry.script("HEAD", "/blobs/", lie)
    desk.push()


# --- proxies --------------------------------------------------------------------------------------


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """What serves each connection, at a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(client,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(20)


def through(desk: Desk, proxy: str) -> Desk:
    """A registry under a name that only the proxy knows."""
    desk.address = "registry.example"
    desk.environment = RegistryEnvironment(proxies=Proxies(http=proxy, https=proxy))
    return desk


@pytest.mark.parametrize(
    ("status", "said", "tries"),
    [
        (503, "the proxy does not let us through: it answered 503 (12 tries)", 12),
        (429, "the proxy does not let us through: it answered 429 (12 tries)", 12),
        (403, "the proxy does not let us through: it answered 403", 1),
        (407, "the proxy does not let us through: it answered 407", 1),
    ],
)
def test_what_a_proxy_answers_is_said(desk: Desk, status: int, said: str, tries: int) -> None:
    heads: list[bytes] = []

    def refuse(client: socket.socket) -> None:
        with client:
            heads.append(client.recv(4096))
            client.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)

    with listening(refuse) as address, pytest.raises(RegistryError) as caught:
        through(desk, f"http://{CANARY}:x@{address}").push()
    assert cause(caught.value) == said
    assert len(heads) == tries


@pytest.mark.parametrize("password", ["", "alice:c4n4ry@"])
def test_a_registry_is_reached_through_socks(desk: Desk, password: str) -> None:
    """The proxy is given the name; it alone knows where that is."""
    asked: list[bytes] = []
    target = desk.registry.registry

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection(tuple(target.split(":"))) as there:  # type: ignore[arg-type]
            methods = client.recv(2)
            client.recv(methods[1])
            client.sendall(b"\5\2" if password else b"\5\0")
            if password:
                asked.append(client.recv(64))
                client.sendall(b"\1\0")
            head = client.recv(5)
            asked.append(client.recv(head[4]))
            client.recv(2)
            client.sendall(b"\5\0\0\1" + bytes(4) + struct.pack("!H", 9))
            back = threading.Thread(target=pump, args=(there, client), daemon=True)
            back.start()
            pump(client, there)
            back.join(20)

    with listening(serve) as address:
        through(desk, f"socks5h://{password}{address}").push(plain_http=True)
    assert desk.is_complete()
    assert b"registry.example" in asked
    assert not password or b"\1\5alice\6c4n4ry" in asked


def pump(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(1 << 16):
            other.sendall(data)
        other.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"\4\0", "it does not speak SOCKS5"),
        (b"\5\xff", "it wants a user name and password that it knows"),
        (b"", "it closed the connection (2 tries)"),
        (b"\5\0\5\2\0\1", "its rules do not allow it"),
        (b"\5\0\5\4\0\1", "the host is unreachable (2 tries)"),
        (b"\5\0\5\x63\0\1", "it answered 99"),
    ],
)
def test_what_a_socks_proxy_answers_is_said(desk: Desk, said: bytes, expected: str) -> None:
    def serve(client: socket.socket) -> None:
        with client:
            client.recv(64)
            client.sendall(said[:2])
            if len(said) > 2:
                client.recv(64)
                client.sendall(said[2:])

    with listening(serve) as address, pytest.raises(RegistryError) as caught:
        through(desk, f"socks5://{address}").push()
    assert cause(caught.value) == f"the proxy does not connect us to registry.example: {expected}"


@pytest.mark.parametrize("url", ["socks5://", "http://h:1", "socks5://h:x", "socks5://[h"])
def test_what_is_no_socks_proxy_is_refused(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # any: it is never shown
        SocksProxy.parse(url)


def test_a_proxy_of_another_kind_is_named(desk: Desk) -> None:
    with pytest.raises(RegistryError) as caught:
        through(desk, f"socks4://{CANARY}@h:1").push()
    assert cause(caught.value) == (
        "the proxy that the environment names cannot be used: "
        "'socks4' is no kind of proxy that is known here"
    )
    assert caught.value.hint == "a proxy is http://HOST:PORT, https://… or socks5://…"


def test_a_registry_is_as_near_as_its_address() -> None:
    assert connections.Dialer("10.0.0.1").reach is Reach.PRIVATE
    assert connections.Dialer("registry.example").reach is Reach.PUBLIC
    assert REPOSITORY
