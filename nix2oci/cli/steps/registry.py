"""Talking to registries as the options and the environment have it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nix2oci.config.options.output import OutputOptions
from nix2oci.config.options.registry import RegistryOptions
from nix2oci.errors import RegistryError
from nix2oci.oci.reference import SCHEME, Reference

if TYPE_CHECKING:
    from nix2oci.oci.layout.source import ImageSource, Layout
    from nix2oci.oci.spec import Platform


def open_reference(
    name: Reference, text: str, registry: RegistryOptions, output: OutputOptions
) -> Layout:
    """What a reference names in its registry, where the user wrote `text` for it."""
    from nix2oci.cli.steps.registry_run import registry_run  # loaded when used
    from nix2oci.oci.registry.pull import open_remote

    with _hinting(text):
        return open_remote(name, registry_run(registry, output).clients)


def open_base_reference(
    name: Reference, text: str, registry: RegistryOptions, output: OutputOptions
) -> Layout:
    """The same for a base image, which may come from a mirror."""
    from nix2oci.cli.steps.registry_run import registry_run  # loaded when used
    from nix2oci.oci.registry.mirrors import open_mirrored

    with _hinting(text):
        return open_mirrored(name, registry_run(registry, output).clients)


@contextmanager
def _hinting(text: str) -> Iterator[None]:
    """Say of a name that might have been a file that it is none."""
    try:
        yield
    except RegistryError as err:
        if not text.startswith(SCHEME):
            err.hint = err.hint or f"there is no file '{text}' either"
        raise


def open_in_registry(text: str, registry: RegistryOptions, output: OutputOptions) -> Layout | None:
    """IMAGE where it is in a registry; None where it is, or should be, a file here."""
    from nix2oci.oci.layout.source import reference_in_registry

    name = reference_in_registry(text)
    return None if name is None else open_reference(name, text, registry, output)


def open_layout_anywhere(
    text: str, registry: RegistryOptions, output: OutputOptions
) -> tuple[Layout, str | None]:
    """The layout that IMAGE is in, and its tag there; one image in a registry is a layout, too."""
    from nix2oci.oci.layout.source import open_layout

    layout = open_in_registry(text, registry, output)
    return open_layout(text) if layout is None else (layout, None)


def open_anywhere(
    text: str, registry: RegistryOptions, output: OutputOptions, platform: Platform | None = None
) -> ImageSource:
    """IMAGE, of a file as `open_image` or in a registry; raises what opening it raises."""
    from nix2oci.oci.layout.source import open_image

    layout = open_in_registry(text, registry, output)
    return open_image(text, platform) if layout is None else layout.image(platform=platform)
