"""Where nix2oci.yaml is, and what it names by path, which is taken from there."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nix2oci.config.keys import Document

_PREFIXES = ("oci:", "oci-archive:", "docker-archive:")


def document_beside(document: Document, directory: str) -> Document:
    """A document of a file in `directory`, with what it names by path as seen from here."""
    found = dict(document)
    if "base" in found:
        found["base"] = image_beside(str(found["base"]), directory)
    if isinstance(layers := found.get("layers"), Mapping):
        layers = dict(layers)
        if "popularity" in layers:
            layers["popularity"] = os.path.join(directory, str(layers["popularity"]))
        if "plan-from" in layers:
            layers["plan-from"] = image_beside(str(layers["plan-from"]), directory)
        found["layers"] = layers
    return found


def image_beside(text: str, directory: str) -> str:
    """The image that a file in `directory` names, as a program elsewhere has to name it.

    What begins with a prefix, `./` or `../` is a path, and so is anything that is there. All else
    stays as it is.
    """
    prefix = next((p for p in _PREFIXES if text.startswith(p)), "")
    path = text.removeprefix(prefix)
    if prefix or path.startswith(("./", "../")) or _is_there(path, directory):
        return prefix + os.path.join(directory, path)
    return text


def _is_there(path: str, directory: str) -> bool:
    """Whether the path is, or what is left of it without a tag."""
    return any(
        os.path.lexists(os.path.join(directory, each))
        for each in (path, path.rpartition(":")[0])
        if each
    )


def file_of_flake(flake_ref: str, name: str) -> str | None:
    """The file `name` in the directory of a local flake, where there is one."""
    directory = _flake_directory(flake_ref)
    path = os.path.join(directory, name) if directory is not None else ""
    return path if os.path.isfile(path) else None


def _flake_directory(flake_ref: str) -> str | None:
    """Where a local flake is: as Nix does, upwards from a path that has no scheme."""
    scheme, colon, rest = flake_ref.partition(":")
    path = (rest if colon and scheme == "path" else flake_ref).partition("?")[0]
    if not os.path.isdir(path):
        return None
    directory = path
    while not os.path.exists(os.path.join(directory, "flake.nix")):
        above = os.path.join(directory, "..")
        if os.path.samefile(directory, above) or colon:
            return None
        directory = above
    return os.path.normpath(directory)
