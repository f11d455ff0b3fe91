"""The provenance of what was built: what the command line knows of it."""

from __future__ import annotations

from collections.abc import Sequence

from nix2oci import __version__
from nix2oci.cli import context
from nix2oci.cli.steps.order import Order
from nix2oci.nix.messages import redact
from nix2oci.pipeline.build import WrittenImage
from nix2oci.publish.provenance import LOCAL_BUILDER, Builder, Recipe, provenance_document
from nix2oci.trust.trust_document import TrustDocument


def provenance(images: Sequence[WrittenImage], order: Order) -> TrustDocument:
    """Of the image of one platform, or of the index of all of them."""
    setup, files = order.setup, order.setup.run.files
    options = order.options
    recipe = Recipe(
        order.named,
        {key: value for key, value in order.settings.document.items() if key != "trust"},
        options.image.config or "",
        options.image.flags,
        options.nix.passed_on,
    )
    who = files.builder_id or context.builder_id() or LOCAL_BUILDER
    times = (setup.began, context.now()) if setup.began else None
    builder = Builder(redact(who), times, __version__)
    return provenance_document(images, setup.client, recipe, builder)
