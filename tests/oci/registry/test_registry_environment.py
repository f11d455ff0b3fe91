"""What the environment says about registries."""

from __future__ import annotations

import pytest

from nix2oci.errors import ConfigError
from nix2oci.host.http.proxies import Proxies
from nix2oci.oci.registry.environment import Account, RegistryEnvironment


def test_credentials_are_looked_for_in_the_order_that_the_page_has() -> None:
    env = {
        "HOME": "/home/a",
        "XDG_CONFIG_HOME": "/config",
        "XDG_RUNTIME_DIR": "/run/user/1",
        "DOCKER_CONFIG": "/docker",
        "REGISTRY_AUTH_FILE": "/auth.json",
        "DOCKER_AUTH_CONFIG": "{}",
    }
    around = RegistryEnvironment.of(env)
    assert (around.explicit_file, around.credential_document) == ("/auth.json", "{}")
    assert around.credential_files == (
        "/docker/config.json",
        "/run/user/1/containers/auth.json",
        "/config/containers/auth.json",
        "/home/a/.docker/config.json",
    )


def test_a_bare_environment_is_enough() -> None:
    around = RegistryEnvironment.of({}, uid=7)
    assert around.credential_files == ("/run/containers/7/auth.json",)
    assert around.certificate_directories == ("/etc/containers/certs.d", "/etc/docker/certs.d")
    assert around.account is None


def test_the_home_directory_alone_has_both() -> None:
    assert RegistryEnvironment.of({"HOME": "/h"}, uid=0).credential_files == (
        "/run/containers/0/auth.json",
        "/h/.config/containers/auth.json",
        "/h/.docker/config.json",
    )


def test_an_account_is_taken_from_the_environment() -> None:
    env = {"NIX2OCI_USERNAME": "a", "NIX2OCI_PASSWORD": "b"}
    assert RegistryEnvironment.of(env).account == Account("a", "b", None)


def test_an_account_is_for_the_registry_that_is_pushed_to() -> None:
    around = RegistryEnvironment.of({"NIX2OCI_USERNAME": "a", "NIX2OCI_PASSWORD": "b"})
    assert around.for_registry("h.example").account == Account("a", "b", "h.example")
    assert RegistryEnvironment().for_registry("h.example").account is None


@pytest.mark.parametrize(
    ("named", "registry"),
    [
        ("h.example", "h.example"),
        ("localhost:5000", "localhost:5000"),
        ("index.docker.io", "docker.io"),
    ],
)
def test_an_account_is_for_the_registry_that_the_environment_names(
    named: str, registry: str
) -> None:
    env = {"NIX2OCI_USERNAME": "a", "NIX2OCI_PASSWORD": "b", "NIX2OCI_REGISTRY": named}
    assert RegistryEnvironment.of(env).for_registry("other.example").account == Account(
        "a", "b", registry
    )


@pytest.mark.parametrize("named", ["https://h.example", "h.example/team", "hub", "h.example:", " "])
def test_a_registry_that_is_none_is_refused(named: str) -> None:
    env = {"NIX2OCI_USERNAME": "a", "NIX2OCI_PASSWORD": "b", "NIX2OCI_REGISTRY": named}
    with pytest.raises(ConfigError, match="is not HOST or HOST:PORT"):
        RegistryEnvironment.of(env)


@pytest.mark.parametrize(("given", "missing"), [("USERNAME", "PASSWORD"), ("PASSWORD", "USERNAME")])
def test_half_an_account_is_refused(given: str, missing: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RegistryEnvironment.of({f"NIX2OCI_{given}": "x"})
    assert str(caught.value) == f"NIX2OCI_{given} is set and NIX2OCI_{missing} is not"


@pytest.mark.parametrize(
    ("env", "file"),
    [
        pytest.param({"SSL_CERT_FILE": "/a", "NIX_SSL_CERT_FILE": "/b"}, "/a", id="everybody's"),
        pytest.param({"NIX_SSL_CERT_FILE": "/b"}, "/b", id="Nix's"),
        pytest.param({}, None, id="none"),
    ],
)
def test_authorities_are_those_of_a_variable(env: dict[str, str], file: str | None) -> None:
    assert RegistryEnvironment.of(env).ca_file == file


@pytest.mark.parametrize(
    ("env", "url", "proxy"),
    [
        pytest.param({"HTTPS_PROXY": "http://p:1"}, "https://a/", "http://p:1", id="capitals"),
        pytest.param({"https_proxy": "http://p:1"}, "https://a/", "http://p:1", id="small letters"),
        pytest.param({"https_proxy": "p:1"}, "https://a/", "http://p:1", id="without a scheme"),
        pytest.param({"https_proxy": "http://p:1"}, "http://a/", None, id="another scheme"),
        pytest.param({"HTTP_PROXY": "http://p:1"}, "http://a/", "http://p:1", id="for http"),
        pytest.param({"ALL_PROXY": "http://p:1"}, "https://a/", "http://p:1", id="for all"),
        pytest.param({}, "https://a/", None, id="none"),
    ],
)
def test_a_proxy_is_that_of_the_environment(
    env: dict[str, str], url: str, proxy: str | None
) -> None:
    assert RegistryEnvironment.of(env).proxies.of(url) == proxy


@pytest.mark.parametrize(
    ("exceptions", "url", "bypassed"),
    [
        ("", "https://a.example/", False),
        ("*", "https://a.example/", True),
        ("a.example", "https://a.example/", True),
        ("a.example", "https://b.a.example/", True),
        ("a.example", "https://ba.example/", False),
        (".a.example", "https://b.a.example/", True),
        ("*.a.example", "https://b.a.example/", True),
        ("A.Example", "https://a.example/", True),
        ("a.example:443", "https://a.example/", True),
        ("a.example:443", "https://a.example:5000/", False),
        ("a.example:5000", "https://a.example:5000/", True),
        ("x, a.example", "https://a.example/", True),
        ("10.0.0.0/8", "https://10.1.2.3:5000/", True),
        ("10.0.0.0/8", "https://11.1.2.3/", False),
        ("10.0.0.0/8", "https://a.example/", False),
        ("fd00::/8", "https://[fd00::1]/", True),
        ("10.1.2.3", "https://10.1.2.3/", True),
        ("10.1.2.3:5000", "https://10.1.2.3:5000/", True),
        ("10.1.2.3:5000", "https://10.1.2.3/", False),
        ("[fd00::1]:5000", "https://[fd00::1]:5000/", True),
        ("not/a/network", "https://10.1.2.3/", False),
        ("", "https://localhost/", True),
        ("", "https://127.0.0.1:5000/", True),
        ("", "https://[::1]:5000/", True),
    ],
)
def test_a_proxy_is_bypassed(exceptions: str, url: str, bypassed: bool) -> None:  # noqa: FBT001
    proxies = Proxies(https="http://p:1", exceptions=exceptions)
    assert (proxies.of(url) is None) is bypassed


def test_the_password_of_a_proxy_is_in_no_words_for_it() -> None:
    assert repr(Proxies("http://a:b@p", "http://a:b@p", "x")) == "Proxies(exceptions='x')"
