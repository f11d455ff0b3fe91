"""Everything that is decided of an image, as one value."""

from __future__ import annotations

from msgspec import Struct

from nix2oci.config.image_spec import ImageSpec
from nix2oci.model.closure import Closure
from nix2oci.model.closure_contents import ClosureContents
from nix2oci.model.tree import Tree
from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.package import Package
from nix2oci.nix.realise import Built
from nix2oci.nix.store import Store
from nix2oci.pipeline.on_base import Overlay
from nix2oci.plan.layers.layering import Plan
from nix2oci.plan.shell import ShellDecision
from nix2oci.plan.slim import SlimDecision


class Prepared(Struct, frozen=True):
    """All that is decided before a byte is written. The store must be held while it is used."""

    built: tuple[Built, ...]
    """What Nix made of each installable, in their order."""
    spec: ImageSpec
    """What was asked for, with the paths of installables that its values name."""
    shells: ShellDecision
    plan: Plan
    survey: ClosureContents
    rootfs: Tree
    store: Store
    """Where the bytes of the store paths come from."""
    notes: FactCache
    """What was found in files on the way."""
    on_base: Overlay | None = None
    """What comes of the base image, where there is one."""
    slim: SlimDecision | None = None
    """What is left out of store paths, where that was asked for."""

    @property
    def closure(self) -> Closure:
        """What the image holds: the closure of the outputs, less what was dropped."""
        return self.shells.closure

    @property
    def layer_count(self) -> int:
        """Those of the base image, those of store paths, and the view."""
        below = len(self.on_base.base.layers) if self.on_base else 0
        return below + len(self.plan.layers) + 1

    @property
    def rules(self) -> str:
        """The rules by which something is left out of store paths, as layers record them."""
        return str(self.slim.rules) if self.slim else ""

    @property
    def package(self) -> Package:
        """The first installable's: it names the image."""
        return self.built[0].package
