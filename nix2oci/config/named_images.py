"""`images` in nix2oci.yaml: several images of one flake, beside what the file says of all of them.

An image has the keys of the file, and `installable`. Keys outside of `images` are for every image;
its own are laid over them as flags are laid over a file, by the same code (`image_spec.merge`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from nix2oci.config.keys import Document
from nix2oci.config.reading import Location, line_of, mapping, nearest, plain
from nix2oci.config.values import installable
from nix2oci.errors import ConfigError

_NAME = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
"""A directory everywhere, and the last part of an image's name (distribution specification)."""
_LONGEST = 100


class NamedImage(Struct, frozen=True):
    """What a file says of one of its images."""

    name: str
    installable: str
    """As it is written; empty: the package of the image's name."""
    own: Document
    """What stands below the image, `installable` left out."""
    location: Location


def split(document: Document, where: str) -> tuple[Document, tuple[NamedImage, ...]]:
    """What is for every image, and each image; their keys are not checked yet.

    Raises `ConfigError`, with the line, for what is no name or no mapping.
    """
    defaults = {key: value for key, value in document.items() if key != "images"}
    place = key_of(document, "images", where)
    images = mapping(document.get("images", {}), place)
    return defaults, tuple(_image(each, value, place.at(each)) for each, value in images.items())


def key_of(document: Document, name: str, where: str) -> Location:
    """Where a key stands at the top of a file; errors tell the line."""
    line = next((line_of(key) for key in document if key == name), 0)
    return Location(f"{where}: {name}", file=where, line=line, numbers=True)


def _image(name: str, value: object, location: Location) -> NamedImage:
    if not re.fullmatch(_NAME, name) or len(name) > _LONGEST:
        raise location.wrong(
            f"'{plain(name)}' cannot be the name of an image",
            "it is a directory too: small letters and digits, with single '.', '_' or '-' between",
        )
    found = mapping({} if value is None else value, location)
    text = ""
    for key, named in found.items():
        if key == "installable":
            text = installable(named, location.at(key))
    own = {key: each for key, each in found.items() if key != "installable"}
    return NamedImage(name, text, own, location)


def chosen(images: Sequence[NamedImage], names: Sequence[str]) -> list[NamedImage]:
    """The images of these names, in the order of the file; all of them without names."""
    known = [image.name for image in images]
    for name in names:
        if name not in known:
            raise ConfigError(
                f"--image {plain(name)}: nix2oci.yaml has no such image",
                hint=nearest(name, tuple(known)) if known else "images are named below `images`",
            )
    return [image for image in images if not names or image.name in names]
