"""What the user wants: nix2oci.yaml, the flags over it, and what the environment adds."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.config import image_spec
from nix2oci.config.image_settings import Settings, settings_of, spec_of
from nix2oci.config.image_spec import ImageSpec
from nix2oci.config.options.files import Format
from nix2oci.config.options.image import ImageOptions
from nix2oci.config.options.output import OutputOptions
from nix2oci.config.reading import one_line
from nix2oci.errors import ConfigError
from nix2oci.nix.client import NixClient
from nix2oci.nix.flake_place import FlakePlace, inside, place_of
from nix2oci.nix.installable import Installable
from nix2oci.text import and_more


def read_settings(
    image: ImageOptions, nix: NixClient, main: Installable, output: OutputOptions
) -> Settings:
    """The settings for the installable that names the image, and a line that says whose they are.

    Raises `ConfigError`, `OutputError` for a file that cannot be read, and what goes wrong with
    Nix, which is asked about a flake that is not named by its path.
    """
    path, place = _file(image, nix, main, output)
    if path:
        console.progress(output).step(f"settings of {path}")
    document, images = image_spec.load_images(path) if path else ({}, ())
    if images:
        names = and_more([each.name for each in images], 4)
        console.progress(output).step(f"its images are built by --all or --image: {names}")
    return settings_of(document, image, (path, place), nix, main)


def read_images(
    image: ImageOptions,
    nix: NixClient,
    main: Installable,
    output: OutputOptions,
    names: Sequence[str],
) -> list[tuple[str, str, Settings]]:
    """The images of the file beside the flake of `main`: name, installable and settings of each.

    All, or those of `names`; none without a file. Raises as `read_settings`.
    """
    from nix2oci.config.named_images import chosen  # few files have any
    from nix2oci.config.relative_paths import installable_beside
    from nix2oci.config.together import check_together
    from nix2oci.pipeline.attempts import naming

    path, place = _file(image, nix, main, output)
    defaults, images = image_spec.load_images(path) if path else ({}, ())
    if images:
        console.progress(output).step(f"settings of {path}")
    settings = []
    for each in images:
        with naming(each.name):
            document = image_spec.merge({"name": each.name, **defaults}, each.own)
            settings.append(settings_of(document, image, (path, place), nix, main))
    check_together(images, [each.spec for each in settings], defaults, one_line(path or ""))
    wanted, directory = chosen(images, names), os.path.dirname(path or "")
    beside = partial(installable_beside, directory=directory, place=place, main_ref=main.flake_ref)
    return [
        (each.name, each.installable or each.name, own)
        if main.kind == "file"
        else (each.name, beside(each.installable or f".#{each.name}", source=place.source), own)
        for each, own in zip(images, settings, strict=True)
        if each in wanted
    ]


def _file(
    image: ImageOptions, nix: NixClient, main: Installable, output: OutputOptions
) -> tuple[str | None, FlakePlace]:
    """The configuration file, and where the flake is."""
    place = place_of(nix, main)
    return image.config or _file_in(place, main, output), place


def read_own_settings(image: ImageOptions) -> ImageSpec:
    """The settings where there is no installable: flags, and the file that they name."""
    document = image_spec.load(image.config) if image.config else {}
    return spec_of(document, image, image.config, FlakePlace(None))


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
    if output_format == "archive" and spec.compressions.has_zstd:
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
