"""What the user wants: nix2oci.yaml, the flags over it, and what the environment adds."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.config import image_spec
from nix2oci.config.image_spec import ImageSpec
from nix2oci.config.keys import Document
from nix2oci.config.lock import LOCK_NAME
from nix2oci.config.options.files import Format
from nix2oci.config.options.image import ImageOptions
from nix2oci.config.options.output import OutputOptions
from nix2oci.config.reading import one_line
from nix2oci.errors import ConfigError, naming
from nix2oci.nix.client import NixClient
from nix2oci.nix.flake_place import FlakePlace, fetched_source, inside, is_below, place_of
from nix2oci.nix.installable import Installable

if TYPE_CHECKING:
    from nix2oci.config.images import NamedImage


class Settings(Struct, frozen=True):
    """The image that is wanted, and where it says so."""

    spec: ImageSpec
    lock: str | None
    """The file that holds what a tag in the configuration file meant; None without that file.

    What a flag names is not locked: then there is none, either.
    """
    place: FlakePlace = FlakePlace(None)
    """Where the flake is that names the image."""

    @property
    def may_lock(self) -> bool:
        """Whether the lock is the user's, and not in a source that Nix fetched."""
        return not (self.place.source and is_below(self.lock or "", self.place.source))


def read_settings(
    image: ImageOptions, nix: NixClient, main: Installable, output: OutputOptions
) -> Settings:
    """The settings for the installable that names the image, and a line that says whose they are.

    Raises `ConfigError`, `OutputError` for a file that cannot be read, and what goes wrong with
    Nix, which is asked about a flake that is not named by its path.
    """
    path, place = _file(image, nix, main, output)
    document = image_spec.load(path) if path else {}
    return _settings(document, image, path, place, (nix, main))


def read_images(
    image: ImageOptions, nix: NixClient, main: Installable, output: OutputOptions
) -> list[tuple[NamedImage, Settings]]:
    """The images of the file beside the flake of `main`, checked together; none without a file.

    Raises as `read_settings`.
    """
    from nix2oci.config.images import check_together, split  # few files have any

    path, place = _file(image, nix, main, output)
    if path is None:
        return []
    _, images = split(image_spec.read_document(path), one_line(path))
    found = []
    for each in images:
        with naming(each.name):
            found.append(_settings(each.document, image, path, place, (nix, main)))
    check_together(images, [each.spec for each in found])
    return list(zip(images, found, strict=True))


def _file(
    image: ImageOptions, nix: NixClient, main: Installable, output: OutputOptions
) -> tuple[str | None, FlakePlace]:
    """The configuration file, and where the flake is; a line says which file it is."""
    place = place_of(nix, main)
    path = image.config or _file_in(place, main, output)
    if path:
        console.progress(output).step(f"settings of {path}")
    return path, place


def _settings(
    document: Document,
    image: ImageOptions,
    path: str | None,
    place: FlakePlace,
    of: tuple[NixClient, Installable],
) -> Settings:
    nix, main = of
    spec = _spec(document, image, path, place, main.flake_ref)
    if spec.files or spec.env_file:
        from nix2oci.config.file_sources import with_sources  # few builds have any

        directory = os.path.dirname(path or "")
        spec = with_sources(spec, directory, place, partial(fetched_source, nix, main))
    if path is None or image.flags["base"] is not None:
        return Settings(spec, None, place)
    lock = os.path.join(os.path.dirname(path), LOCK_NAME)
    return Settings(spec, lock if image.config else inside(lock, place.source), place)


def read_own_settings(image: ImageOptions) -> ImageSpec:
    """The settings where there is no installable: flags, and the file that they name."""
    document = image_spec.load(image.config) if image.config else {}
    return _spec(document, image, image.config, FlakePlace(None))


def _spec(
    document: Document, image: ImageOptions, path: str | None, place: FlakePlace, main_ref: str = ""
) -> ImageSpec:
    """What a file and the flags say of an image; a path in the file is taken from there."""
    if path:
        from nix2oci.config.relative_paths import document_beside  # few builds have a file

        document = document_beside(document, os.path.dirname(path), place, main_ref, one_line(path))
    flags = image_spec.flags(image.flags)
    if {"files", "env-file"} & flags.keys():
        from nix2oci.config.file_sources import sources_beside  # few builds have any

        flags = sources_beside(flags, "", "", str)
    spec = image_spec.parse(image_spec.merge(document, flags), path or image_spec.FILE_NAME)
    if "debug-tools" in flags and not spec.debug:
        raise ConfigError("--debug-tools: there is no debug twin to have them", hint="add --debug")
    return spec


def check_spec(spec: ImageSpec, output_format: Format, output: OutputOptions) -> None:
    """Raise `ConfigError` for what would only go wrong after an hour of building.

    That is layers that `docker load` does not read, and a SOURCE_DATE_EPOCH that has no meaning.
    """
    created(spec)
    epoch = context.environment().get("SOURCE_DATE_EPOCH")
    if spec.created is None and epoch == str(image_spec.STDENV_EPOCH):
        meant = f"--created {epoch} is for who means it"
        console.progress(output).step(f"SOURCE_DATE_EPOCH={epoch} of stdenv is ignored; {meant}")
    if spec.max_layers == 1:
        reused = "nothing of it is reused: each build makes, and each push sends, all of it"
        console.progress(output).step(f"with one layer {reused}")
    if output_format == "archive" and spec.compression == "zstd":
        raise ConfigError(
            "cannot write an archive with zstd layers: 'docker load' does not read them",
            hint="use --compression gzip, or --format oci",
        )


def created(spec: ImageSpec) -> Callable[[int | None], datetime]:
    """The image's time as a function of the flake's `lastModified`.

    Raises `ConfigError` for a SOURCE_DATE_EPOCH that has no meaning.
    """
    epoch = context.environment().get("SOURCE_DATE_EPOCH")
    decide = partial(image_spec.created, spec.created, epoch, now=context.now)
    decide(None)
    return decide


def _file_in(place: FlakePlace, main: Installable, output: OutputOptions) -> str | None:
    """The configuration file in the directory that holds the flake or the Nix file, if any."""
    if place.directory is None:
        what = main.file or main.text
        console.progress(output).step(
            f"no {image_spec.FILE_NAME} is looked for beside {what}: --config FILE names one"
        )
        return None
    path = os.path.join(place.directory, image_spec.FILE_NAME)
    if not os.path.isfile(path) or not (place.directory or main.kind == "file"):
        return None
    return inside(path, place.source)
