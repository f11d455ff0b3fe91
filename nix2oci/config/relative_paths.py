"""What nix2oci.yaml names by path, which is taken from where the file is.

The hard part is that a flake which was fetched may be anybody's: its settings name nothing of this
machine, only what is in its source.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from nix2oci.config.braces import with_installables
from nix2oci.config.file_sources import sources_beside
from nix2oci.config.image_spec import FILE_NAME
from nix2oci.config.keys import Document
from nix2oci.nix.flake_place import inside, is_below
from nix2oci.nix.flake_reference import reference, within
from nix2oci.nix.installable import names_path
from nix2oci.nix.named_flake import FlakePlace, flake_above, named_place

_PREFIXES = ("oci:", "oci-archive:", "docker-archive:")
_OF_FILES = r"((?:path|(?:[a-z]+\+)?file):)(.*)"
"""A URL of what is in the file system of this machine."""


def document_beside(
    document: Document,
    directory: str,
    place: FlakePlace,
    main_ref: str = "",
    where: str = FILE_NAME,
) -> Document:
    """A document of the file `where` in `directory`, with what it names by path as seen from here.

    `main_ref` is the reference of the main flake, if that is one, and `place` where it is. Where
    the file is in a source that was fetched, raises `ConfigError` for a path that leads out of it.
    """
    source = place.source if is_below(os.path.realpath(directory), place.source or "-") else ""

    def image(text: object) -> str:
        return image_beside(str(text), directory, source)

    def installable(text: object) -> str:
        return installable_beside(str(text), directory, place, main_ref, source)

    found = dict(document)
    if isinstance(contents := found.get("contents"), list):
        found["contents"] = list(map(installable, contents))
    readers = {"base": image, "debug-tools": installable}
    found |= {key: read(found[key]) for key, read in readers.items() if key in found}
    for key in ("env", "entrypoint", "cmd", "healthcheck"):
        if key in found:
            found[key] = _braces(found[key], installable)
    if {"files", "env-file"} & found.keys():
        found = dict(sources_beside(found, directory, where, installable))
    for key, beside in (("layers", _layers_beside), ("trust", _trust_beside)):
        if isinstance(value := found.get(key), Mapping):
            found[key] = beside(value, directory, source)
    return found


def _layers_beside(
    layers: Mapping[str, object], directory: str, source: str
) -> Mapping[str, object]:
    found = dict(layers)
    if "popularity" in found:
        found["popularity"] = inside(os.path.join(directory, str(found["popularity"])), source)
    if "plan-from" in found:
        found["plan-from"] = image_beside(str(found["plan-from"]), directory, source)
    return found


def _trust_beside(trust: Mapping[str, object], directory: str, source: str) -> Mapping[str, object]:
    from nix2oci.config.what_to_attach import trust_beside  # noqa: PLC0415  # few files have it

    return trust_beside(trust, directory, fetched=bool(source))


def _braces(value: object, installable: Callable[[object], str]) -> object:
    """A value, or a list or mapping of values, with the installables that it names."""
    if isinstance(value, str):
        return with_installables(value, installable)
    if isinstance(value, list):
        return [_braces(each, installable) for each in value]
    if isinstance(value, Mapping):
        return {name: _braces(each, installable) for name, each in value.items()}
    return value


def image_beside(text: str, directory: str, source: str = "") -> str:
    """The image that a file in `directory` names, as a program elsewhere has to name it.

    What begins with a prefix, `./` or `../` is a path, and so is anything that is there. All else
    stays as it is.
    """
    prefix = next((p for p in _PREFIXES if text.startswith(p)), "")
    path = text.removeprefix(prefix)
    if prefix or path.startswith(("./", "../", "/")) or _is_there(path, directory):
        whole = os.path.join(directory, path)
        known = whole if os.path.lexists(whole) else whole.rpartition(":")[0] or whole
        inside(known, source)
        for at, directories, files in os.walk(known) if source else ():
            for name in (*directories, *files):
                inside(os.path.join(at, name), source)
        return prefix + whole
    return text


def _is_there(path: str, directory: str) -> bool:
    """Whether the path is, or what is left of it without a tag."""
    return any(
        os.path.lexists(os.path.join(directory, each))
        for each in (path, path.rpartition(":")[0])
        if each
    )


def installable_beside(
    text: str, directory: str, place: FlakePlace, main_ref: str, source: str = ""
) -> str:
    """The installable that a file in `directory` names, as seen from here.

    What leads to the flake of the file is called as that is, `main_ref`, so that both are the same
    source.
    """
    ref, sharp, rest = text.partition("#")
    if not sharp:
        ref, caret, rest = text.partition("^")
        sharp = caret
    url = re.fullmatch(_OF_FILES, ref)
    kind, path = url.groups() if url else ("", ref or ".")
    if not url and not _is_path(path, directory, fragment=sharp == "#"):
        return text
    if source:
        path = path.removeprefix("//") if url else path
        return _of_source(path, directory, place, main_ref, source) + sharp + rest
    if path.startswith("/"):
        return text
    found = named_place(_joined(directory, path)) if not url else None
    if main_ref and found and found.directory and _same(found.directory, place.directory):
        return main_ref + sharp + rest
    if os.path.normpath(directory) == ".":
        return text
    return kind + _joined(_encoded(directory) if url else directory, path) + sharp + rest


def _is_path(path: str, directory: str, *, fragment: bool) -> bool:
    """Whether it is a path to Nix, or to a link such as `result`, which has no fragment."""
    if path.startswith((".", "/")):
        return True
    is_link = not fragment and ("/" in path or re.match("result(-|$)", path))
    there = os.path.lexists(os.path.join(directory, path.partition("?")[0]))
    return bool(there and (is_link or names_path(path)))


def _same(one: str, other: str | None) -> bool:
    return other is not None and os.path.realpath(one) == os.path.realpath(other)


def _joined(directory: str, path: str) -> str:
    """A path beside the file; one without a dot in front would be a name to Nix."""
    path, mark, query = path.partition("?")
    found = os.path.normpath(os.path.join(directory, path))
    return (found if found.startswith((".", "/")) else f"./{found}") + mark + query


def _encoded(directory: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415  # start-up counts

    return quote(os.path.abspath(directory))


def _of_source(path: str, directory: str, place: FlakePlace, main_ref: str, source: str) -> str:
    """The reference of a flake in the source of the main one."""
    path, _, query = path.partition("?")
    below = query.removeprefix("dir=") if query.startswith("dir=") else ""
    target = inside(os.path.join(directory, path, below), source)
    flake = flake_above(os.path.realpath(target)) or target
    inside(flake, source)
    if _same(flake, place.directory):
        return main_ref
    seen = os.path.relpath(os.path.realpath(flake), os.path.realpath(place.directory or ""))
    return reference(within(place.locked, seen)) or f"path:{os.path.realpath(flake)}"
