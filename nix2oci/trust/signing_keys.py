"""Keys that sign and verify: P-256 and Ed25519, as PEM or as Nix writes them.

The only module that loads `cryptography`: whoever signs nothing does not wait for it. No message
here has anything of a key in it.
"""

from __future__ import annotations

import base64
import hashlib
import re

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509 import (
    ExtensionNotFound,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
    load_der_x509_certificate,
)

from nix2oci.errors import ConfigError

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Public = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_ECDSA = ec.ECDSA(SHA256())
_KINDS = "it is to be a P-256 or an Ed25519 key"
_MAKE = "make one: openssl genpkey -algorithm ed25519 -out key.pem"
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_NIX = re.compile(rb"\s*([^\s:]+):([A-Za-z0-9+/]+={0,2})\s*")
"""`NAME:BASE64`, as `nix key` and `nix-store --generate-binary-cache-key` write it."""


class PublicKey:
    """A key that verifies."""

    def __init__(self, key: Public) -> None:
        self._key = key
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.hint = base64.b64encode(hashlib.sha256(der).digest()).decode()
        """What a bundle names it by: the SHA-256 of its DER, in base64."""

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether the signature was made over these bytes by the key's other half."""
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, data)
            else:
                self._key.verify(signature, data, _ECDSA)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """A key that signs: the same bytes each time."""

    def __init__(self, key: Private) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    def __repr__(self) -> str:
        return f"SigningKey({self.hint})"

    @property
    def hint(self) -> str:
        """As that of its public half."""
        return self.public.hint

    def sign(self, data: bytes) -> bytes:
        """A signature over these bytes; ECDSA by RFC 6979, without chance."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(data)
        try:
            return self._key.sign(data, ec.ECDSA(SHA256(), deterministic_signing=True))
        except UnsupportedAlgorithm as err:
            raise ConfigError(
                "cannot sign with a P-256 key: this OpenSSL does not sign without chance",
                hint="use an Ed25519 key, or OpenSSL 3.2 or newer",
            ) from err


def read_signing_key(data: bytes, where: str, *, nix: bool | None = None) -> SigningKey:
    """The key in bytes that were read from `where`; `nix` is whether it has Nix's form.

    Raises `ConfigError` for anything but a key that signs, and can be read without a password.
    """
    if nix or (nix is None and _NIX.fullmatch(data)):
        secret = _of_nix(data, where, 64)
        return SigningKey(ed25519.Ed25519PrivateKey.from_private_bytes(secret[:32]))
    title = _title(data, where)
    if b"ENCRYPTED" in data:
        raise _encrypted(title, where)
    if "PRIVATE KEY" not in title:
        raise ConfigError(f"cannot sign with {where}: it is a {title.lower()}", hint=_MAKE)
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as err:
        raise ConfigError(f"cannot sign with {where}: its key cannot be read", hint=_MAKE) from err
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return SigningKey(key)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return SigningKey(key)
    raise ConfigError(f"cannot sign with {where}: {_KINDS}", hint=_MAKE)


def read_public_key(data: bytes, where: str, *, nix: bool | None = None) -> PublicKey:
    """The public key in bytes that were read from `where`; raises as `read_signing_key`."""
    if nix or (nix is None and _NIX.fullmatch(data)):
        return PublicKey(ed25519.Ed25519PublicKey.from_public_bytes(_of_nix(data, where, 32)))
    title = _title(data, where)
    if "PRIVATE KEY" in title:
        raise ConfigError(
            f"cannot verify with {where}: it is a private key",
            hint="write its public half: openssl pkey -in KEY -pubout -out key.pub",
        )
    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as err:
        raise ConfigError(f"cannot verify with {where}: it is no public key") from err
    if isinstance(key, ed25519.Ed25519PublicKey):
        return PublicKey(key)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return PublicKey(key)
    raise ConfigError(f"cannot verify with {where}: {_KINDS}")


def certificate_name(der: bytes) -> str:
    """Whom a certificate is for: a mail address, or the address of a run of CI; else its subject.

    It is shown, and nothing is concluded from it: who issued the certificate is not looked at.
    """
    try:
        certificate = load_der_x509_certificate(der)
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
        kinds = RFC822Name | UniformResourceIdentifier
        found = [name.value for name in names if isinstance(name, kinds)]
        return found[0] if found else certificate.subject.rfc4514_string()
    except (ValueError, ExtensionNotFound):
        return ""


def _title(data: bytes, where: str) -> str:
    """What a PEM says that it is: `PRIVATE KEY`; parameters that come before a key are no title."""
    found = (match[1].decode() for match in _BEGIN.finditer(data))
    for title in found:
        if title != "EC PARAMETERS":
            return title
    hint = f"a key of Nix in a file is named nix:{where}" if _NIX.fullmatch(data) else _MAKE
    raise ConfigError(f"cannot use {where}: it is no key in PEM", hint=hint)


def _encrypted(title: str, where: str) -> ConfigError:
    own = "SIGSTORE" in title or "COSIGN" in title
    return ConfigError(
        f"cannot sign with {where}: the key is encrypted"
        + (", in cosign's own form, which cosign alone reads" if own else ""),
        hint="sign with cosign, or take a key in PEM for both: cosign import-key-pair --key key.pem"
        if own
        else "decrypt it on the way: --sign-key <(openssl pkey -in KEY), or env://VAR",
    )


def _of_nix(data: bytes, where: str, size: int) -> bytes:
    """The bytes of a key as Nix writes it, which are so many."""
    match, found = _NIX.fullmatch(data), b""
    if match:
        try:
            found = base64.b64decode(match[2], validate=True)
        except ValueError:
            found = b""
    if len(found) == size:
        return found
    what = {32: "public", 64: "secret"}
    if len(found) in what:
        raise ConfigError(f"cannot use {where}: it is a {what[len(found)]} key of Nix")
    raise ConfigError(
        f"cannot use {where}: it is no key of Nix",
        hint="it is NAME:BASE64, as nix-store --generate-binary-cache-key writes it",
    )
