"""All that decides what `build` would make: for the commands that only plan it."""

from __future__ import annotations

from msgspec import Struct

from nix2oci.config.options.group import Group
from nix2oci.config.options.image import IMAGE, ImageOptions
from nix2oci.config.options.nix import NIX, NIX_WITHOUT_FILE, NixOptions
from nix2oci.config.options.output import BYTES_OUTPUT, OUTPUT, OutputOptions
from nix2oci.config.options.registry import REGISTRY, RegistryOptions


class PlanOptions(Struct, frozen=True):
    """The options of an image that is planned, and how much is said."""

    registry: RegistryOptions
    image: ImageOptions
    nix: NixOptions
    output: OutputOptions


def _joined(nix: Group[NixOptions], output: Group[OutputOptions]) -> Group[PlanOptions]:
    parts = (REGISTRY, IMAGE, nix, output)

    def make(**given: object) -> PlanOptions:
        """From what the flags were given, by click's name for each."""
        registry, image = REGISTRY.take(given), IMAGE.take(given)
        return PlanOptions(registry, image, nix.take(given), output.take(given))

    return Group("options", make, tuple(flag for part in parts for flag in part.flags), parts=parts)


PLAN = _joined(NIX, OUTPUT)
PLAN_OF_BYTES = _joined(NIX, BYTES_OUTPUT)
"""For a command whose result is a document."""
PLAN_WITHOUT_FILE = _joined(NIX_WITHOUT_FILE, BYTES_OUTPUT)
"""For a command whose `-f` names files of its own, and whose result is one."""
