"""All that decides what `build` would make: for the commands that only plan it."""

from __future__ import annotations

from msgspec import Struct

from nix2oci.config.options.group import Group
from nix2oci.config.options.image import IMAGE, ImageOptions
from nix2oci.config.options.nix import NIX, NixOptions
from nix2oci.config.options.output import OUTPUT, OutputOptions
from nix2oci.config.options.registry import REGISTRY, RegistryOptions


class PlanOptions(Struct, frozen=True):
    """The options of an image that is planned, and how much is said."""

    registry: RegistryOptions
    image: ImageOptions
    nix: NixOptions
    output: OutputOptions

    @classmethod
    def of(cls, **given: object) -> PlanOptions:
        """From what the flags were given, by click's name for each."""
        registry, image = REGISTRY.take(given), IMAGE.take(given)
        return cls(registry, image, NIX.take(given), OUTPUT.take(given))


_PARTS = (REGISTRY, IMAGE, NIX, OUTPUT)
PLAN = Group(
    "options", PlanOptions.of, tuple(flag for part in _PARTS for flag in part.flags), parts=_PARTS
)
