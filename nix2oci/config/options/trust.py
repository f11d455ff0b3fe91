"""What goes with an image: what is attached to it, and the key that signs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from nix2oci.config.options.group import Group, value

if TYPE_CHECKING:
    from nix2oci.config.what_to_attach import Attaching


class TrustOptions(Struct, frozen=True):
    """What the user said of it."""

    attach: str | None
    sign_key: str | None

    @property
    def attaching(self) -> Attaching:
        """What it means; raises `ConfigError`."""
        from nix2oci.config.what_to_attach import attaching_from_flags  # start-up

        return attaching_from_flags(self.attach, self.sign_key)


SIGN_KEY = value(
    "--sign-key",
    "KEY",
    "Sign with this key: a file in PEM, nix:FILE for a key of Nix, or env://VARIABLE.",
)

TRUST = Group(
    "trust",
    TrustOptions,
    (
        value(
            "--attach",
            "WHAT,...",
            "Attach documents: sbom (cyclonedx and spdx), provenance, contents; or none.",
        ),
        SIGN_KEY,
    ),
    "Trust",
)
