"""What the user knows of store paths: read, and what became of it said."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.config.image_spec import ImageSpec
from nix2oci.config.layer_keys import Layers
from nix2oci.config.options.output import OutputOptions
from nix2oci.config.options.plan import PlanOptions

if TYPE_CHECKING:
    from nix2oci.model.closure import Closure
    from nix2oci.plan.layers.layering import LayerHints, Plan


def read_hints(spec: ImageSpec, options: PlanOptions) -> LayerHints | None:
    """The hints that an image spec names; None where it names none, as most do.

    Raises as `pipeline.layer_hints.read_hints`.
    """
    if spec.layers == Layers():
        return None
    from nix2oci.cli.steps.registry import open_anywhere
    from nix2oci.pipeline import layer_hints

    open_image = partial(open_anywhere, registry=options.registry, output=options.output)
    progress = console.progress(options.output)
    return layer_hints.read_hints(spec.layers, open_image, progress, context.cores())


def say_warnings(
    closure: Closure, plan: Plan, hints: LayerHints | None, output: OutputOptions
) -> None:
    """Tell the user what became of hints."""
    if hints is None:
        return
    from nix2oci.pipeline.layer_hints import hint_warnings

    for line in hint_warnings(closure, plan, hints):
        console.progress(output).step(line)
