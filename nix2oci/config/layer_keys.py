"""What nix2oci.yaml says of layers: `layers`, the one key whose parts are flags of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nix2oci.config.reading import Location, Reader, each_once, filled, known, plain


@dataclass(frozen=True, slots=True)
class Layers:
    """What is known of the store paths of an image that their closure does not show."""

    popularity: str | None = None
    """A file with a popularity index."""
    stable: tuple[str, ...] = ()
    """Names of what rarely changes, with or without a version."""
    volatile: tuple[str, ...] = ()
    """Names of what changes with every commit."""
    plan_from: str | None = None
    """An image, or a document about one, whose layers are to be kept."""


def one_name(value: object, location: Location) -> str:
    """A file, or what else is named by text in one line."""
    found = filled(value, location)
    if not found.isprintable():
        raise location.expected("a name in printable characters", found)
    return found


def names(value: object, location: Location) -> tuple[str, ...]:
    """Names of packages or store paths, each once."""
    return each_once(value, location, _package)


def _package(value: object, location: Location) -> str:
    found = one_name(value, location)
    if "/" in found:
        raise location.expected("a name such as openssl or openssl-3.0.14", found)
    return found


PARTS: Mapping[str, Reader] = {
    "popularity": one_name,
    "stable": names,
    "volatile": names,
    "plan-from": one_name,
}
"""The keys below `layers`."""


def layers(value: object, location: Location) -> Layers:
    """The value of `layers`; no name is both stable and volatile."""
    parts = known(value, location, tuple(PARTS))
    found: dict[str, Any] = {
        name.replace("-", "_"): PARTS[name](part, location.at(name)) for name, part in parts.items()
    }
    read = Layers(**found)
    for name in read.stable:
        if name in read.volatile:
            raise location.wrong(f"'{plain(name)}' is both stable and volatile")
    return read
