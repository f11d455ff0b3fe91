"""Sources of `files` and `env-file`: where they are, and that they are of the repository.

What git does not track is not in a flake's source, and what is not in there would be another image
on another machine. So a source is read where Nix has put the flake's source.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from msgspec.structs import replace

from nix2oci.config.braces import as_text
from nix2oci.config.env_file import read_env_file
from nix2oci.config.image_spec import ImageSpec
from nix2oci.config.keys import Document
from nix2oci.config.reading import Location, line_of, plain
from nix2oci.config.wanted_files import Located, is_installable
from nix2oci.errors import ConfigError
from nix2oci.nix.flake_place import is_below
from nix2oci.nix.host import work_tree
from nix2oci.nix.named_flake import FlakePlace


def sources_beside(
    document: Document, directory: str, where: str, installable: Callable[[str], str]
) -> Document:
    """The document with each source as an absolute path, or as `installable` says it.

    `where` is the file in `directory`, `""` for flags, which may name absolute paths. Raises
    `ConfigError` for one in a file.
    """

    def whole(source: str, name: str, key: str) -> str:
        if where and source.startswith("/"):
            at = Location(f"{where}: {key}", file=where, line=line_of(name)).numbered()
            raise at.wrong(
                f"the source {source} is an absolute path",
                "name it as seen from the directory of the file, such as ./public",
            )
        return Located(os.path.normpath(os.path.join(os.path.realpath(directory), source)))

    def beside(name: str, entry: object) -> object:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("source"), str):
            return entry
        source = entry["source"]
        if is_installable(source):
            return {**entry, "source": installable(source)}
        return {**entry, "source": whole(source, name, f"files.{plain(name)}")}

    found = dict(document)
    if isinstance(files := found.get("files"), Mapping):
        found["files"] = {name: beside(name, entry) for name, entry in files.items()}
    for key, value in document.items():
        if key == "env-file":
            found[key] = whole(str(value), key, key)
    return found


def with_sources(
    spec: ImageSpec, directory: str, place: FlakePlace, fetched: Callable[[], str]
) -> ImageSpec:
    """The spec with each source of the repository where it can be read.

    `directory` is that of the configuration file, or the working directory; `fetched` gives the
    directory that Nix has put the source of the flake into, which is at `place`. Without a flake,
    or for a file elsewhere, sources are of the directory itself.

    Raises `ConfigError` for a source that is not there, or not of it.
    """
    is_here = [each.kind == "source" and not each.installable for each in spec.files]
    if not any(is_here) and spec.env_file is None:
        return spec
    real = os.path.realpath(directory)
    top = _top(place)
    is_flake = bool(top) and is_below(real, top)
    root = top if is_flake else real
    for whole, where in _places(spec):
        if not is_below(whole, root):
            raise ConfigError(f"{where}: {whole} is not in {root}, of which all files have to be")
    copied = fetched() if is_flake and not place.source else root
    files = tuple(
        replace(each, value=_located(each.value, each.where, root, copied)) if here else each
        for each, here in zip(spec.files, is_here, strict=True)
    )
    if spec.env_file is None:
        return replace(spec, files=files)
    path = _located(spec.env_file.path, spec.env_file.where, root, copied)
    given = read_env_file(path, spec.env_file.where)
    variables = {name: as_text(value) for name, value in given.items()}
    return replace(spec, files=files, env={**variables, **spec.env})


def _places(spec: ImageSpec) -> Iterator[tuple[str, str]]:
    """Each path that is of the repository, and where it is named."""
    for each in spec.files:
        if each.kind == "source" and not each.installable:
            yield each.value, each.where
    if spec.env_file:
        yield spec.env_file.path, spec.env_file.where


def _top(place: FlakePlace) -> str:
    """The real directory of the whole source that a flake is in; `""` where there is none."""
    if place.source or place.copied:
        return os.path.realpath(place.source or place.copied)
    return work_tree(place.directory) if place.directory else ""


def _located(whole: str, where: str, root: str, copied: str) -> str:
    found = os.path.normpath(os.path.join(copied, os.path.relpath(whole, root)))
    if not os.path.lexists(found):
        hint = None
        if os.path.lexists(whole):
            hint = "a flake's source has what git tracks: git add it"
        raise ConfigError(f"{where}: there is no {whole} in the source", hint=hint)
    if not is_below(os.path.realpath(found), os.path.realpath(copied)):
        raise ConfigError(f"{where}: the source {whole} is a link that leads out of {root}")
    return Located(os.path.realpath(found))
