"""Whom a push believes, and through which proxy it goes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.certificates import Certificates
from support.fakeregistry import CANARY, FakeRegistry, answer
from support.fakeserver import running
from support.pushing import ALICE, REPOSITORY, SECRETS, Desk

from nix2oci.errors import AuthenticationError, RegistryError
from nix2oci.host.http import tls
from nix2oci.host.http.proxies import Proxies
from nix2oci.host.http.request_error import RequestError
from nix2oci.oci.registry.environment import RegistryEnvironment


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def secure(certificates: Certificates, tmp_path: Path) -> Iterator[Desk]:
    """A registry behind TLS."""
    with running(FakeRegistry(), certificates.server()) as registry:
        desk = Desk.make(tmp_path / "image", registry)
        registry.now = lambda: desk.time.time
        yield desk
    assert [secret for secret in SECRETS if secret in desk.said()] == []


def refused(desk: Desk, **changes: object) -> RegistryError:
    with pytest.raises(RegistryError) as caught:
        desk.push(**changes)  # type: ignore[arg-type]
    return caught.value


def cause(err: RegistryError) -> str:
    return str(err).partition(f"/{REPOSITORY}: ")[2]


def test_a_certificate_that_nobody_vouches_for_is_refused(secure: Desk) -> None:
    secure.account, secure.registry.auth = ALICE, "basic"
    err = refused(secure)
    assert cause(err).startswith(
        f"the certificate of {secure.registry.registry} is not trusted: unable to get local issuer"
    )
    assert err.hint == (
        "trust its authority with --cert-dir DIR, where it is *.crt, "
        "or do without with --no-tls-verify"
    )
    assert err.exit_code == 6
    assert secure.registry.seen == []


def test_an_authority_in_the_named_directory_is_trusted(
    secure: Desk, certificates: Certificates, tmp_path: Path
) -> None:
    secure.push(cert_dir=str(certificates.copy(tmp_path / "certs", "ca.crt")))
    assert secure.is_complete()


def test_an_authority_in_the_directory_of_the_registry_is_trusted(
    secure: Desk, certificates: Certificates, tmp_path: Path
) -> None:
    certificates.copy(tmp_path / "certs.d" / secure.registry.registry, "ca.crt")
    around = RegistryEnvironment(certificate_directories=("/nowhere", str(tmp_path / "certs.d")))
    secure.push(environment=around)
    assert secure.is_complete()


def test_authorities_of_the_environment_are_trusted(
    secure: Desk, certificates: Certificates
) -> None:
    secure.push(environment=RegistryEnvironment(ca_file=certificates.ca))
    assert secure.is_complete()


def test_certificates_need_not_be_looked_at(secure: Desk) -> None:
    secure.push(verify=False)
    assert secure.is_complete()


def test_a_certificate_of_another_name_is_refused(secure: Desk, certificates: Certificates) -> None:
    secure.host = "other.example"
    with tunnel(secure.registry.registry) as proxy, pytest.raises(RegistryError) as caught:
        through(secure, certificates, Proxies(https=f"http://{proxy.address}"))
    assert cause(caught.value).startswith(
        "the certificate of other.example is not trusted: Hostname mismatch"
    )
    assert secure.registry.seen == []


@pytest.mark.parametrize("own", [True, False])
def test_a_registry_may_want_a_certificate_of_ours(
    certificates: Certificates,
    tmp_path: Path,
    own: bool,  # noqa: FBT001
) -> None:
    files = ("ca.crt", "client.cert", "client.key") if own else ("ca.crt",)
    directory = str(certificates.copy(tmp_path / "certs", *files))
    with running(FakeRegistry(), certificates.server(asks_for_client=True)) as registry:
        desk = Desk.make(tmp_path / "image", registry)
        if own:
            desk.push(cert_dir=directory)
            assert desk.is_complete()
        else:
            err = refused(desk, cert_dir=directory)
            assert err.exit_code == 6
            assert registry.seen == []


def test_a_certificate_without_its_key_is_an_error(
    secure: Desk, certificates: Certificates, tmp_path: Path
) -> None:
    directory = certificates.copy(tmp_path / "certs", "client.cert")
    err = refused(secure, cert_dir=str(directory))
    assert cause(err) == f"there is no certificate, or no key to it, at {directory}/client.cert"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "NIX_SSL_CERT_FILE"])
def test_a_file_that_the_environment_names_is_named_with_its_variable(variable: str) -> None:
    around = RegistryEnvironment.of({variable: "/no-cert-file.crt"}, "x/1", 0)
    with pytest.raises(RequestError, match=r"/no-cert-file\.crt \(of SSL_CERT_FILE or NIX_SSL_"):
        tls.context("localhost", around)


def test_a_file_that_is_no_certificate_is_an_error(secure: Desk, tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs/ca.crt").write_text("no certificate")
    err = refused(secure, cert_dir=str(tmp_path / "certs"))
    assert (
        cause(err)
        == f"the certificate {tmp_path}/certs/ca.crt cannot be read: it is no certificate"
    )


def test_a_token_server_without_tls_gets_no_credentials(
    secure: Desk, certificates: Certificates
) -> None:
    with running(FakeRegistry()) as tokens:
        secure.account, secure.registry.auth = ALICE, "bearer"
        secure.registry.realm = f"http://{tokens.registry}/token"
        around = RegistryEnvironment(account=ALICE, ca_file=certificates.ca)
        err = refused(secure, environment=around)
        assert isinstance(err, AuthenticationError)
        assert cause(err) == (
            "the address of its token server cannot be used: it leads from https to http"
        )
        assert tokens.seen == []
    assert {seen.authorization for seen in secure.registry.seen} == {None}


@pytest.mark.parametrize("method", ["POST", "HEAD"])
def test_nothing_leads_from_tls_to_plain_http(
    secure: Desk, certificates: Certificates, method: str
) -> None:
    with running(FakeRegistry()) as plain:
        target = f"http://127.0.0.1:{plain.registry.rpartition(':')[2]}/x"
        status = 202 if method == "POST" else 307
        secure.registry.script(method, "/blobs/", answer(status, b"", location=target), always=True)
        err = refused(secure, environment=RegistryEnvironment(ca_file=certificates.ca))
        assert cause(err).endswith("it leads from https to http")
        assert err.exit_code == 6
        assert plain.seen == []


# --- with and without TLS ---------------------------------------------------------------------


def test_this_machine_is_spoken_to_without_tls_where_it_has_none(desk: Desk) -> None:
    desk.push()
    assert desk.exchanges[0] == (
        f"GET https://{desk.registry.registry}/v2/: {desk.registry.registry} does not speak TLS"
    )
    assert desk.is_complete()


def test_another_machine_is_not_spoken_to_without_tls(desk: Desk) -> None:
    """As a proxy, the fake stands for it."""
    desk.host, desk.account = "registry.example", ALICE
    with tunnel(desk.registry.registry) as proxy:
        around = RegistryEnvironment(
            account=ALICE, proxies=Proxies(https=f"http://{proxy.address}")
        )
        err = refused(desk, plain_http=False, environment=around)
    assert cause(err) == "registry.example does not speak TLS"
    assert err.hint == "--plain-http is for registries without it"
    assert err.exit_code == 6
    assert desk.registry.calls("HEAD") == []


def test_plain_http_to_a_registry_with_tls_is_explained(secure: Desk) -> None:
    err = refused(secure, plain_http=True)
    assert err.exit_code == 6
    assert cause(err).endswith(("(12 tries)", "as an HTTP server does"))
    assert err.hint == "if it speaks TLS, leave out --plain-http"


def test_plain_http_is_spoken_when_it_is_asked_for(desk: Desk) -> None:
    desk.host = "registry.example"
    desk.push(plain_http=True)
    assert {seen.host for seen in desk.registry.seen} == {"registry.example"}
    assert desk.is_complete()


# --- proxies ----------------------------------------------------------------------------------


@dataclass
class Tunnel:
    """A proxy that lets everyone through to one address."""

    target: str
    address: str = ""
    heads: list[str] = field(default_factory=list)
    status: str = "200 OK"

    def serve(self, client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            self.heads.append(head.decode())
            client.sendall(f"HTTP/1.1 {self.status}\r\n\r\n".encode())
            if not self.status.startswith("200"):
                return
            host, _, port = self.target.rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                back = threading.Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                pump(client, server)
                back.join(20)


def pump(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(1 << 16):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@contextmanager
def tunnel(target: str, status: str = "200 OK") -> Iterator[Tunnel]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Tunnel(target, f"127.0.0.1:{listener.getsockname()[1]}", status=status)

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=made.serve, args=(client,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(20)


def through(secure: Desk, certificates: Certificates, proxies: Proxies) -> None:
    around = RegistryEnvironment(ca_file=certificates.ca, proxies=proxies)
    secure.push(environment=around, plain_http=False)


def test_a_registry_with_tls_is_reached_through_a_proxy(
    secure: Desk, certificates: Certificates
) -> None:
    secure.host = "registry.example"
    with tunnel(secure.registry.registry) as proxy:
        address = f"http://{CANARY}:{CANARY}@{proxy.address}"
        through(secure, certificates, Proxies(https=address))
    assert secure.is_complete()
    assert proxy.heads[0].startswith("CONNECT registry.example:443 HTTP/1.")
    assert "proxy-authorization: basic" in proxy.heads[0].lower()


def test_a_proxy_that_lets_nobody_through_is_told_of(
    secure: Desk, certificates: Certificates
) -> None:
    secure.host = "registry.example"
    with tunnel(secure.registry.registry, "407 Proxy Authentication Required") as proxy:
        address = f"http://{CANARY}:{CANARY}@{proxy.address}"
        with pytest.raises(RegistryError) as caught:
            through(secure, certificates, Proxies(https=address))
    assert "the proxy" in str(caught.value)


def test_a_proxy_is_passed_by_for_those_whom_the_environment_excepts(desk: Desk) -> None:
    around = RegistryEnvironment(
        proxies=Proxies("http://127.0.0.1:1", "http://127.0.0.1:1", "127.0.0.1")
    )
    desk.push(environment=around)
    assert desk.is_complete()


@pytest.mark.parametrize(
    "proxy", [f"socks5://{CANARY}@[h:1", f"socks5://{CANARY}@", f"http://{CANARY}:x@[h", "http://"]
)
def test_a_proxy_that_cannot_be_used_is_told_of_without_its_password(
    desk: Desk, proxy: str
) -> None:
    desk.host = "registry.example"
    err = refused(desk, environment=RegistryEnvironment(proxies=Proxies(http=proxy)))
    assert cause(err) == "the proxy that the environment names cannot be used"
