"""The image that is wanted: what nix2oci.yaml says, the flags over it, and where that was found."""

from __future__ import annotations

import os
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.config import image_spec
from nix2oci.config.image_spec import ImageSpec
from nix2oci.config.keys import Document
from nix2oci.config.lock import LOCK_NAME
from nix2oci.config.options.image import ImageOptions
from nix2oci.config.reading import one_line
from nix2oci.errors import ConfigError
from nix2oci.model.closure import STORE_DIR
from nix2oci.nix.client import NixClient
from nix2oci.nix.flake_place import fetched_source, inside, is_below
from nix2oci.nix.installable import Installable
from nix2oci.nix.named_flake import FlakePlace

EMPTY: Document = {}


class Settings(Struct, frozen=True):
    """The image that is wanted, and where it says so."""

    spec: ImageSpec
    lock: str | None
    """The file that holds what a tag in the configuration file meant; None without that file.

    What a flag names is not locked: then there is none, either.
    """
    place: FlakePlace = FlakePlace(None)
    """Where the flake is that names the image."""
    document: Document = EMPTY
    """What the file says of the image."""

    @property
    def may_lock(self) -> bool:
        """Whether the lock is the user's, and not in a source that Nix fetched, or in the store."""
        return not is_below(self.lock or "", self.place.source or STORE_DIR)


def settings_of(
    document: Document,
    image: ImageOptions,
    found_at: tuple[str | None, FlakePlace],
    nix: NixClient,
    main: Installable,
) -> Settings:
    """What a document and the flags say of the image of an installable.

    `found_at` is the file that has the document, and the place of the flake of `main`. Raises
    `ConfigError`, `OutputError` for a file that cannot be read, and what goes wrong with Nix.
    """
    path, place = found_at
    spec = spec_of(document, image, path, place, main.flake_ref)
    if spec.files or spec.env_file:
        from nix2oci.config.file_sources import with_sources  # noqa: PLC0415  # few have any

        directory = os.path.dirname(path or "")
        spec = with_sources(spec, directory, place, partial(fetched_source, nix, main))
    spec = replace(spec, named_paths=nix.only_named(spec.texts, (main.store_path, *spec.contents)))
    if path is None or image.flags["base"] is not None:
        return Settings(spec, None, place, document)
    lock = os.path.join(os.path.dirname(path), LOCK_NAME)
    return Settings(spec, lock if image.config else inside(lock, place.source), place, document)


def spec_of(
    document: Document, image: ImageOptions, path: str | None, place: FlakePlace, main_ref: str = ""
) -> ImageSpec:
    """What a file and the flags say of an image; a path in the file is taken from there."""
    if path:
        from nix2oci.config.relative_paths import document_beside  # noqa: PLC0415  # few have a file

        document = document_beside(document, os.path.dirname(path), place, main_ref, one_line(path))
    flags = image_spec.flags(image.flags)
    if {"files", "env-file"} & flags.keys():
        from nix2oci.config.file_sources import sources_beside  # noqa: PLC0415  # few have any

        flags = sources_beside(flags, "", "", str)
    spec = image_spec.parse(image_spec.merge(document, flags), path or image_spec.FILE_NAME)
    if "debug-tools" in flags and not spec.debug:
        raise ConfigError("--debug-tools: there is no debug twin to have them", hint="add --debug")
    return spec
