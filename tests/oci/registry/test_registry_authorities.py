"""Who counts as an authority: the same on every Python, and as for docker, podman and skopeo."""

import ssl
import subprocess
from pathlib import Path

import pytest
from support.certificates import Certificates
from support.fakeregistry import FakeRegistry
from support.fakeserver import running
from support.pushing import Desk

from nix2oci.errors import RegistryError
from nix2oci.host.http.tls import context
from nix2oci.oci.registry.environment import RegistryEnvironment

AUTHORITY = "basicConstraints = critical, CA:TRUE\n"


def made(directory: Path, extensions: str, signed_by: Certificates | None = None) -> Certificates:
    directory.mkdir()
    return Certificates.make(directory, extensions, signed_by=signed_by)


def push(certificates: Certificates, tmp_path: Path) -> None:
    """To a registry whose certificate this authority signed; it alone is trusted."""
    with running(FakeRegistry(), certificates.server()) as registry:
        desk = Desk.make(tmp_path / "image", registry)
        desk.push(cert_dir=str(certificates.copy(tmp_path / "certs", "ca.crt")))
        assert desk.is_complete()


@pytest.mark.parametrize(
    "usage",
    [
        pytest.param("", id="an authority without a key usage is believed"),
        pytest.param("keyUsage = keyCertSign", id="one that may sign certificates is believed"),
        pytest.param("subjectKeyIdentifier = none", id="one without an identifier is believed"),
    ],
)
def test_an_authority_of_ones_own_is_trusted(usage: str, tmp_path: Path) -> None:
    push(made(tmp_path / "made", AUTHORITY + usage), tmp_path)


def test_the_usual_authority_of_the_tests_has_no_key_usage(tmp_path: Path) -> None:
    """That the first of the rows above says something."""
    argv = ["openssl", "x509", "-in", made(tmp_path / "made", AUTHORITY).ca, "-noout", "-text"]
    text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "CA:TRUE" in text
    assert "Key Usage" not in text


def test_an_authority_that_another_one_signed_is_enough(tmp_path: Path) -> None:
    above = made(tmp_path / "above", AUTHORITY)
    push(made(tmp_path / "made", AUTHORITY, signed_by=above), tmp_path)


@pytest.mark.parametrize(
    "extensions",
    [
        pytest.param(
            "basicConstraints = critical, CA:FALSE", id="what says that it is no authority is none"
        ),
        pytest.param(
            AUTHORITY + "keyUsage = digitalSignature",
            id="one that may not sign certificates has signed none",
        ),
    ],
)
def test_what_may_sign_nothing_is_not_trusted(extensions: str, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="is not trusted: invalid CA certificate"):
        push(made(tmp_path / "made", extensions), tmp_path)


def test_no_python_has_a_default_of_its_own() -> None:
    flags = context("registry.example", RegistryEnvironment()).verify_flags
    assert flags & ssl.VERIFY_X509_PARTIAL_CHAIN
    assert not flags & ssl.VERIFY_X509_STRICT
