"""What is to be attached to an image, and the keys for that: checked before anything is built."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

from nix2oci.cli import context
from nix2oci.config.what_to_attach import FETCHED, Attaching
from nix2oci.errors import ConfigError

if TYPE_CHECKING:
    from nix2oci.trust.signing_keys import PublicKey, SigningKey


class ToAttach(Struct, frozen=True):
    """What is to be attached, and the key that signs it and the image."""

    kinds: tuple[str, ...] = ()
    key: SigningKey | None = None

    def __bool__(self) -> bool:
        return bool(self.kinds or self.key)

    @property
    def has_sbom(self) -> bool:
        return bool({"cyclonedx", "spdx"} & set(self.kinds))

    @property
    def has_contents(self) -> bool:
        return "contents" in self.kinds


def to_attach(asked: Attaching, file: Attaching, *, pushed: bool, in_layout: bool) -> ToAttach:
    """What is attached to an image, as flags have `asked` and nix2oci.yaml says.

    Only what is pushed is signed by the key of nix2oci.yaml. Raises `ConfigError` where nothing
    that is made could have what flags ask for, and what reading the key raises.
    """
    if not (pushed or in_layout):
        if asked:
            flag = "--sign-key" if asked.sign_key else "--attach"
            raise ConfigError(
                f"cannot use {flag}: neither an archive nor an engine has what refers to an image",
                hint="push the image, or write an image layout: -o PATH",
            )
        return ToAttach()
    wanted = asked.over(file if pushed else Attaching(file.attach))
    return ToAttach(wanted.attach or (), signing_key(wanted.sign_key) if wanted.sign_key else None)


@cache
def signing_key(name: str) -> SigningKey:
    """The key of a name, read once: it may be a pipe. Raises as `KeySource.signing_key`."""
    from nix2oci.trust.key_source import KeySource  # only who signs needs it

    if name.startswith(FETCHED):
        raise ConfigError(
            f"cannot sign with {name.removeprefix(FETCHED)}: the nix2oci.yaml that names it was "
            "fetched",
            hint="name the key yourself: --sign-key KEY",
        )
    return KeySource(name, context.environment()).signing_key()


def public_key(name: str) -> PublicKey:
    """The public key of a name; raises as `KeySource.public_key`."""
    from nix2oci.trust.key_source import KeySource  # only who verifies needs it

    return KeySource(name, context.environment()).public_key()
