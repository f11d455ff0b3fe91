"""Keys that are trusted to sign store paths: Ed25519, as Nix has them.

The curve is the library's, which is loaded when the first signature is checked.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Mapping

from msgspec import Struct

from nix2oci.errors import ConfigError
from nix2oci.nix.binary_caches.narinfo import NarInfo
from nix2oci.text import display

CACHE_NIXOS_ORG = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
"""What Nix trusts when nobody says anything."""

_KEY_BYTES = 32


class PublicKeys(Struct, frozen=True):
    """The keys, each by its name."""

    by_name: Mapping[str, bytes]

    @classmethod
    def parse(cls, texts: Iterable[str]) -> PublicKeys:
        """Read `NAME:base64` each; raises `ConfigError` for what is no key."""
        found: dict[str, bytes] = {}
        for text in texts:
            name, _, coded = text.partition(":")
            key = _decoded(coded)
            if not name or key is None or len(key) != _KEY_BYTES:
                raise ConfigError(
                    f"cannot use trusted-public-keys: '{display(text.encode())}' is no public key",
                    hint="a key is NAME:BASE64, such as cache.example.org-1:mDf…w=",
                )
            found[name] = key
        return cls(found)

    def have_signed(self, record: NarInfo) -> bool:
        """Whether one of the keys signed just these values."""
        data = record.fingerprint.encode()
        return any(self._is_right(signature, data) for signature in record.signatures)

    def _is_right(self, signature: str, data: bytes) -> bool:
        name, _, coded = signature.partition(":")
        key, found = self.by_name.get(name), _decoded(coded)
        if key is None or found is None:
            return False
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # loaded when used
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
            Ed25519PublicKey,
        )

        try:
            Ed25519PublicKey.from_public_bytes(key).verify(found, data)
        except InvalidSignature:
            return False
        return True


def _decoded(text: str) -> bytes | None:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        return None
