"""Keys: which are taken, and what is said of the others."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.signing import KeyPair, openssl

from nix2oci.errors import ConfigError, Nix2OCIError, OutputError
from nix2oci.trust.key_source import KeySource
from nix2oci.trust.signing_keys import read_public_key, read_signing_key

DATA = b"what is signed"


@pytest.mark.parametrize("kind", ["ed25519", "P-256"])
def test_a_signature_is_the_same_each_time_and_verifies(tmp_path: Path, kind: str) -> None:
    pair = KeyPair.make(tmp_path, kind=kind)
    key = KeySource(str(pair.secret), {}).signing_key()
    public = KeySource(str(pair.public), {}).public_key()
    signature = key.sign(DATA)
    assert key.sign(DATA) == signature
    assert public.verifies(signature, DATA)
    assert not public.verifies(signature, DATA + b"!")
    assert not public.verifies(b"no signature", DATA)
    assert public.hint == key.hint


def test_openssl_verifies_what_is_signed(tmp_path: Path) -> None:
    pair = KeyPair.make(tmp_path, kind="P-256")
    (tmp_path / "signature").write_bytes(KeySource(str(pair.secret), {}).signing_key().sign(DATA))
    check = ("dgst", "-sha256", "-verify", pair.public, "-signature", tmp_path / "signature")
    assert openssl(*check, stdin=DATA) == b"Verified OK\n"


def test_a_key_on_a_curve_may_be_in_its_older_form() -> None:
    older = openssl("ecparam", "-name", "prime256v1", "-genkey")
    assert b"EC PARAMETERS" in older
    assert read_signing_key(older, "key.pem").sign(DATA)


def test_a_key_of_nix_is_the_same_key(tmp_path: Path) -> None:
    pair = KeyPair.make(tmp_path)
    (tmp_path / "secret").write_text(pair.nix_secret())
    (tmp_path / "public").write_text(pair.nix_public() + "\n")
    hint = KeySource(str(pair.secret), {}).signing_key().hint
    assert KeySource(f"nix:{tmp_path}/secret", {}).signing_key().hint == hint
    assert KeySource(f"nix:{tmp_path}/public", {}).public_key().hint == hint
    assert KeySource("env://K", {"K": pair.nix_secret()}).signing_key().hint == hint


def test_a_key_may_come_through_a_pipe(tmp_path: Path) -> None:
    pair = KeyPair.make(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(
        target=lambda: (tmp_path / "pipe").write_bytes(pair.secret.read_bytes())
    )
    writer.start()
    assert KeySource(str(tmp_path / "pipe"), {}).signing_key().sign(DATA)
    writer.join()


def _encrypted(tmp_path: Path) -> bytes:
    pair = KeyPair.make(tmp_path, kind="P-256")
    return openssl("pkey", "-in", pair.secret, "-aes256", "-passout", "pass:secret")


def _older_encrypted(tmp_path: Path) -> bytes:
    pair = KeyPair.make(tmp_path, kind="P-256")
    return openssl("ec", "-in", pair.secret, "-aes256", "-passout", "pass:secret")


def _cosign(_: Path) -> bytes:
    body = base64.b64encode(b"{}").decode()
    title = "ENCRYPTED SIGSTORE PRIVATE KEY"
    return f"-----BEGIN {title}-----\n{body}\n-----END {title}-----\n".encode()


def _rsa(_: Path) -> bytes:
    return openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")


def _p384(tmp_path: Path) -> bytes:
    return KeyPair.make(tmp_path, kind="P-384").secret.read_bytes()


def _public(tmp_path: Path) -> bytes:
    return KeyPair.make(tmp_path).public.read_bytes()


def _cut(tmp_path: Path) -> bytes:
    return KeyPair.make(tmp_path).secret.read_bytes()[:60] + b"\n-----END PRIVATE KEY-----\n"


def _of_nix(tmp_path: Path) -> bytes:
    return KeyPair.make(tmp_path).nix_secret().encode()


@pytest.mark.parametrize(
    ("made", "message", "hint"),
    [
        pytest.param(
            _encrypted, "cannot sign with K: the key is encrypted", "<(openssl pkey", id="encrypted"
        ),
        pytest.param(
            _older_encrypted,
            "cannot sign with K: the key is encrypted",
            "<(openssl pkey",
            id="encrypted in the older form",
        ),
        pytest.param(
            _cosign,
            "cannot sign with K: the key is encrypted, in cosign's own form",
            "cosign import-key-pair",
            id="of cosign",
        ),
        pytest.param(_rsa, "it is to be a P-256 or an Ed25519 key", "openssl genpkey", id="RSA"),
        pytest.param(_p384, "it is to be a P-256 or an Ed25519 key", "openssl genpkey", id="P-384"),
        pytest.param(_public, "cannot sign with K: it is a public key", "openssl", id="public"),
        pytest.param(_cut, "cannot sign with K: its key cannot be read", "openssl", id="cut off"),
        pytest.param(_of_nix, "K: it is no key in PEM", "is named nix:K", id="of Nix, not said"),
        pytest.param(lambda _: b"", "K: it is no key in PEM", "openssl genpkey", id="empty"),
    ],
)
def test_what_is_no_key_that_signs_is_said(
    tmp_path: Path, made: object, message: str, hint: str
) -> None:
    assert callable(made)
    with pytest.raises(ConfigError) as caught:
        read_signing_key(made(tmp_path), "K", nix=False)
    assert message in str(caught.value)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"name:AAAA", "K: it is no key of Nix", id="too short"),
        pytest.param(b"name:====", "K: it is no key of Nix", id="no base64"),
        pytest.param(b"name:" + base64.b64encode(bytes(32)), "it is a public key", id="public"),
        pytest.param(b"-----BEGIN PRIVATE KEY-----", "K: it is no key of Nix", id="a PEM"),
    ],
)
def test_what_is_no_secret_key_of_nix_is_said(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_signing_key(data, "K", nix=True)
    assert message in str(caught.value)


def test_a_private_key_does_not_verify(tmp_path: Path) -> None:
    pair = KeyPair.make(tmp_path)
    with pytest.raises(ConfigError) as caught:
        read_public_key(pair.secret.read_bytes(), "K", nix=False)
    assert str(caught.value) == "cannot verify with K: it is a private key"
    assert "openssl pkey -in KEY -pubout" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        pytest.param("missing", OutputError, "cannot read key missing: No such", id="missing"),
        pytest.param(".", OutputError, "cannot read key .: Is a directory", id="a directory"),
        pytest.param("env://X", ConfigError, "the environment has no variable 'X'", id="unset"),
        pytest.param("env://", ConfigError, "the environment has no variable ''", id="no name"),
        pytest.param("a\0b", OutputError, "it is no path", id="no path"),
    ],
)
def test_a_key_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: type, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Nix2OCIError) as caught:
        KeySource(name, {}).signing_key()
    assert isinstance(caught.value, kind)
    assert message in str(caught.value)


def test_nothing_of_a_key_is_shown(tmp_path: Path) -> None:
    pair = KeyPair.make(tmp_path)
    secret = pair.secret.read_text()
    source = KeySource("env://K", {"K": secret})
    shown = repr(source) + repr(source.signing_key())
    assert secret.splitlines()[1] not in shown


def test_only_who_signs_loads_the_library() -> None:
    code = "import sys, nix2oci.publish.attachments; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
