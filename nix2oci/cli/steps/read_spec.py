"""What the user wants: nix2oci.yaml, the flags over it, and what the environment adds."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from functools import partial

from msgspec import Struct

from nix2oci.cli import context
from nix2oci.cli.options.files import Format
from nix2oci.cli.options.image import ImageOptions
from nix2oci.cli.options.output import OutputOptions
from nix2oci.cli.render import console
from nix2oci.config import image_spec
from nix2oci.config.image_spec import ImageSpec
from nix2oci.config.lock import LOCK_NAME
from nix2oci.config.relative_paths import document_beside, file_of_flake
from nix2oci.errors import ConfigError
from nix2oci.nix.installable import Installable


class Settings(Struct, frozen=True):
    """The image that is wanted, and where it says so."""

    spec: ImageSpec
    lock: str | None
    """The file that holds what a tag in the configuration file meant; None without that file.

    What a flag names is not locked: then there is none, either.
    """


def read_settings(image: ImageOptions, main: Installable | None) -> Settings:
    """The settings for the installable that names the image; None where there is none.

    Raises `ConfigError`, and `OutputError` for a file that cannot be read.
    """
    path = image.config or (_file_beside(main) if main else None)
    document = document_beside(image_spec.load(path), os.path.dirname(path)) if path else {}
    flags = image_spec.flags(image.flags)
    spec = image_spec.parse(image_spec.merge(document, flags), path or image_spec.FILE_NAME)
    if "debug-tools" in flags and not spec.debug:
        raise ConfigError("--debug-tools: there is no debug twin to have them", hint="add --debug")
    if path is None or main is None or image.flags["base"] is not None:
        return Settings(spec, None)
    return Settings(spec, os.path.join(os.path.dirname(path), LOCK_NAME))


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


def _file_beside(installable: Installable) -> str | None:
    """The configuration file in the directory that holds the flake or the Nix file, if any."""
    if installable.kind == "path":
        return None
    if installable.kind == "flake":
        return file_of_flake(installable.flake_ref, image_spec.FILE_NAME)
    path = os.path.join(os.path.dirname(installable.file), image_spec.FILE_NAME)
    return path if os.path.isfile(path) else None
