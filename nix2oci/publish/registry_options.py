"""Which registry the options about registries are for, in a run that builds or reads images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nix2oci.config.options.registry import RegistryOptions
from nix2oci.errors import ConfigError

if TYPE_CHECKING:
    from nix2oci.config.image_spec import ImageSpec
    from nix2oci.config.options.plan import PlanOptions
    from nix2oci.publish.image_target import PushTarget


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
    from nix2oci.oci.layout.source import reference_in_registry  # noqa: PLC0415  # start-up counts

    references = [reference_in_registry(text) for text in texts if text]
    if not any(references):
        return registry
    from nix2oci.oci.registry.repository import Repository  # noqa: PLC0415  # start-up counts

    found = {Repository.of(each).registry: None for each in references if each}
    if len(found) > 1:
        _refuse_bare(registry, found, "images are read from")
        return registry
    return replace(registry, registry=next(iter(found)), named=named)
