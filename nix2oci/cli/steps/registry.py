"""Talking to registries as the options and the environment have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nix2oci.config.options.output import OutputOptions
from nix2oci.config.options.registry import RegistryOptions
from nix2oci.errors import ConfigError, RegistryError
from nix2oci.oci.reference import SCHEME, Reference

if TYPE_CHECKING:
    from nix2oci.config.image_spec import ImageSpec
    from nix2oci.config.options.plan import PlanOptions
    from nix2oci.oci.layout.source import ImageSource, Layout
    from nix2oci.oci.spec import Platform
    from nix2oci.pipeline.image_target import PushTarget


def registry_for_build(
    options: PlanOptions, spec: ImageSpec, target: PushTarget | None = None
) -> PlanOptions:
    """The options of a run that plans an image, for where it is pushed to or what it reads.

    Raises as `reading`.
    """
    if target:
        registry = pushing(options.registry, target.registries(spec.name))
    else:
        registry = reading(options.registry, spec.base, spec.layers.plan_from, named=False)
    return replace(options, registry=registry)


def pushing(registry: RegistryOptions, to: Sequence[str]) -> RegistryOptions:
    """The options of a run that pushes to these registries, whatever else it reads.

    Raises `ConfigError` where there are several, and a flag does not say which it is for.
    """
    if len(to) == 1:
        return replace(registry, registry=to[0], named=True)
    _refuse_bare(registry, to, "the image is pushed to")
    return registry


def _refuse_bare(registry: RegistryOptions, names: Iterable[str], which: str) -> None:
    if registry.bare:
        flag = registry.bare[0]
        raise ConfigError(
            f"cannot use {flag}: it is for one registry, and {which} {' and '.join(names)}",
            hint="name it: --plain-http=HOST"
            if flag == "--plain-http"
            else "put certificates into ~/.config/containers/certs.d/HOST",
        )


def reading(registry: RegistryOptions, *texts: str | None, named: bool = True) -> RegistryOptions:
    """The options of a run that reads images, for the one registry that these are in.

    What is in a file, or None, is in no registry; `named` is whether the command line has them, and
    not an image that is built. Raises `ConfigError` where they are in several,
    and a flag does not say which of them it is for.
    """
    if registry.registry is not None or not any(texts):
        return registry
    from nix2oci.oci.layout.source import reference_in_registry

    references = [reference_in_registry(text) for text in texts if text]
    if not any(references):
        return registry
    from nix2oci.oci.registry.client_options import Repository

    found = {Repository.of(each).registry: None for each in references if each}
    if len(found) > 1:
        _refuse_bare(registry, found, "images are read from")
        return registry
    return replace(registry, registry=next(iter(found)), named=named)


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


def open_anywhere(
    text: str, registry: RegistryOptions, output: OutputOptions, platform: Platform | None = None
) -> ImageSource:
    """IMAGE, of a file as `open_image` or in a registry; raises what opening it raises."""
    from nix2oci.oci.layout.source import open_image

    layout = open_in_registry(text, registry, output)
    return open_image(text, platform) if layout is None else layout.image(platform=platform)
