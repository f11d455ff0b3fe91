"""`images` in nix2oci.yaml: several images of one flake, and what the file says of all of them.

An image has the keys of the file, and `installable`. Keys outside of `images` are for every image;
its own are laid over them as flags are laid over a file, by the same code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from nix2oci.config.image_spec import ImageSpec, check_keys, merge
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
    document: Document
    """That laid over what is for every image. It has a name."""
    location: Location


def split(document: Document, where: str) -> tuple[Document, tuple[NamedImage, ...]]:
    """What is for every image, and each image; every key is checked by itself.

    Raises `ConfigError`, with the line.
    """
    top = Location(where, file=where, numbers=True)
    defaults = {key: value for key, value in document.items() if key != "images"}
    if "installable" in defaults:
        line = next(line_of(key) for key in defaults if key == "installable")
        raise Location(f"{where}: installable", file=where, line=line, numbers=True).wrong(
            "it is not for every image", "write it below one of `images`"
        )
    check_keys(defaults, top)
    key = next((key for key in document if key == "images"), "images")
    place = Location(f"{where}: images", file=where, line=line_of(key), numbers=True)
    found = mapping(document.get("images", {}), place)
    return defaults, tuple(_image(*each, defaults, place) for each in found.items())


def _image(name: str, value: object, defaults: Document, place: Location) -> NamedImage:
    location = place.at(name)
    if not re.fullmatch(_NAME, name) or len(name) > _LONGEST:
        raise location.wrong(
            f"'{plain(name)}' cannot be the name of an image",
            "it is a directory too: small letters and digits, with single '.', '_' or '-' between",
        )
    own = dict(mapping({} if value is None else value, location))
    named = own.pop("installable", None)
    at = next((location.at(key) for key in _keys(value) if key == "installable"), location)
    check_keys(own, location)
    text = "" if named is None and at is location else installable(named, at)
    whole = merge({"name": name, **defaults}, own)
    return NamedImage(name, text, own, whole, location)


def _keys(value: object) -> Sequence[str]:
    return list(value) if isinstance(value, Mapping) else []


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


def check_together(images: Sequence[NamedImage], specs: Sequence[ImageSpec]) -> None:
    """Raise `ConfigError` for images that would take each other's place, and for tools of no twin.

    `specs` are what became of the images, all of the file.
    """
    taken: dict[str, str] = {}
    for image, spec in zip(images, specs, strict=True):
        tags = spec.tags or ("latest",)
        for tag in (*tags, *(f"{tag}-debug" for tag in tags if spec.debug)):
            reference = f"{spec.name}:{tag}"
            if (other := taken.setdefault(reference, image.name)) != image.name:
                raise image.location.wrong(
                    f"it would be {reference}, which image '{other}' is",
                    "give it a `name` or a `tag` of its own",
                )
        if "debug-tools" in image.own and not spec.debug:
            raise image.location.at("debug-tools").wrong(
                "the image has no debug twin to have them", "add `debug: true`"
            )
    if images and not any(spec.debug for spec in specs):
        for key in images[0].document:
            if key == "debug-tools":
                place = images[0].location
                raise Location(
                    f"{place.file}: debug-tools", file=place.file, line=line_of(key), numbers=True
                ).wrong("no image has a debug twin to have them", "add `debug: true`")
