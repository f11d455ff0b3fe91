"""Where a key is: a file, a key of Nix in a file, or a variable of the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from nix2oci.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from nix2oci.trust.signing_keys import PublicKey, SigningKey

_NIX = "nix:"
_VARIABLE = "env://"
_MOST = 64 << 10
"""Bytes: more are no key."""


class KeySource(Struct, frozen=True):
    """What a flag or nix2oci.yaml names a key by, and the environment that it may be in."""

    text: str
    environment: Mapping[str, str]

    def __repr__(self) -> str:
        return f"KeySource({self.text!r})"  # the environment has what is secret

    def signing_key(self) -> SigningKey:
        """The key that signs; `ConfigError` for anything else, `OutputError` without the file."""
        from nix2oci.trust.signing_keys import read_signing_key  # noqa: PLC0415  # only who signs needs it

        return read_signing_key(*self._read(), nix=self._is_nix)

    def public_key(self) -> PublicKey:
        """The key that verifies; raises as `signing_key`. It may stand in the place of a file."""
        from nix2oci.trust.signing_keys import read_public_key  # noqa: PLC0415  # only who verifies needs it

        return read_public_key(*self._read(), nix=self._is_nix)

    @property
    def _is_nix(self) -> bool | None:
        """Whether it has Nix's form; in a variable it may have either."""
        return None if self.text.startswith(_VARIABLE) else self.text.startswith(_NIX)

    def _read(self) -> tuple[bytes, str]:
        """Its bytes, and what errors call it."""
        if self.text.startswith(_VARIABLE):
            name = self.text.removeprefix(_VARIABLE)
            found = self.environment.get(name)
            if not found:
                raise ConfigError(
                    f"cannot use key {self.text}: the environment has no variable '{name}'"
                )
            return found.encode(errors="surrogateescape"), self.text
        path = self.text.removeprefix(_NIX)
        try:
            with open(path, "rb") as file:  # a pipe is right here: a key need not lie on a disk
                data = file.read(_MOST + 1)
        except (OSError, ValueError) as err:
            cause = err.strerror if isinstance(err, OSError) else "it is no path"
            raise OutputError(f"cannot read key {path}: {cause}") from err
        if len(data) > _MOST:
            raise ConfigError(f"cannot use key {path}: it is larger than {_MOST >> 10} KiB")
        return data, path
