"""What is attached to an image, and whose key signs it: `trust` of nix2oci.yaml, and its flags."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from msgspec import Struct

from nix2oci.config.layer_keys import one_name
from nix2oci.config.reading import Location, each_once, known, one_of
from nix2oci.errors import ConfigError

KINDS = ("cyclonedx", "spdx", "provenance", "contents")
"""Documents, in the order in which scanners take them."""
_NONE = "none"
_SBOM = "sbom"
_WORDS = (_SBOM, *KINDS)
FETCHED = "fetched:"
"""Before a key that a flake names which was fetched: it is not to choose among the keys here."""


class Attaching(Struct, frozen=True):
    """What is attached to an image, and what signs it."""

    attach: tuple[str, ...] | None = None
    """Of `KINDS`, in their order; None where nothing is said of it."""
    sign_key: str | None = None
    """A file in PEM, `nix:FILE` or `env://VARIABLE`."""

    def over(self, other: Attaching) -> Attaching:
        """Both, where the other one counts only for what this one does not say."""
        attach = other.attach if self.attach is None else self.attach
        return Attaching(attach, self.sign_key or other.sign_key)

    def __bool__(self) -> bool:
        return bool(self.attach or self.sign_key)


def kinds_of(words: Sequence[str]) -> tuple[str, ...]:
    """Which documents words mean: `sbom` both forms of it, `none` no document."""
    found = {kind for word in words for kind in (KINDS[:2] if word == _SBOM else (word,))}
    return tuple(kind for kind in KINDS if kind in found)


def trust(value: object, location: Location) -> Attaching:
    """The value of `trust`."""
    found = known(value, location, ("attach", "sign-key"))
    return Attaching(
        _kinds(found["attach"], location.at("attach")) if "attach" in found else None,
        one_name(found["sign-key"], location.at("sign-key")) if "sign-key" in found else None,
    )


def _kinds(value: object, location: Location) -> tuple[str, ...]:
    if value == _NONE:
        return ()
    listed = [value] if isinstance(value, str) else value
    return kinds_of(each_once(listed, location, one_of(_WORDS)))


def attaching_from_flags(attach: str | None, sign_key: str | None) -> Attaching:
    """What `--attach` and `--sign-key` say; raises `ConfigError`."""
    if sign_key == "":
        raise ConfigError("--sign-key: it names no key", hint="a file, nix:FILE or env://VARIABLE")
    if attach is None:
        return Attaching(None, sign_key)
    words = [] if attach == _NONE else [word.strip() for word in attach.split(",")]
    for word in words:
        one_of(_WORDS)(word, Location("--attach", is_flag=True))
    return Attaching(kinds_of(words), sign_key)


def trust_beside(
    value: Mapping[str, object], directory: str, *, fetched: bool
) -> Mapping[str, object]:
    """What a file in `directory` says of trust, as seen from here.

    A key is beside the file, unless it is in the environment.
    """
    key = value.get("sign-key")
    if not isinstance(key, str) or not key:
        return value
    if fetched:
        return {**value, "sign-key": FETCHED + key}
    if key.startswith("env://"):
        return value
    prefix = "nix:" if key.startswith("nix:") else ""
    return {**value, "sign-key": prefix + os.path.join(directory, key.removeprefix(prefix))}
