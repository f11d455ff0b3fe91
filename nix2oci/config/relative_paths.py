"""What nix2oci.yaml names by path: the path is taken from where the file is."""

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
