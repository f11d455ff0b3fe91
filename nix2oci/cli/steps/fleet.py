"""Several images in one run: what each of them is, and all of them made and sent."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from nix2oci.cli.steps.evaluate import evaluate
from nix2oci.cli.steps.order import Order, Setup
from nix2oci.cli.steps.publish import Document, deliver, prepared_delivery, publish_of
from nix2oci.cli.steps.read_spec import Settings, read_settings
from nix2oci.config.options.plan import PlanOptions
from nix2oci.errors import Nix2OCIError
from nix2oci.nix.client import NixClient
from nix2oci.nix.installable import Installable
from nix2oci.pipeline.describe import image_names


class Wanted(Struct, frozen=True):
    """One image of a run."""

    name: str
    """What errors and progress call it."""
    named: tuple[Installable, ...]
    """The first one names it, and starts it."""
    settings: Settings


class Outcome(Struct, frozen=True):
    """What became of one image."""

    name: str
    document: Document | None
    """What `build --json` prints of it: after a push `reference` is REGISTRY/REPOSITORY@DIGEST."""
    error: Nix2OCIError | None = None
    """Only where the run was to keep going: else it is raised."""


def image_of(client: NixClient, text: str, options: PlanOptions) -> Wanted:
    """The image of an installable, as `nix2oci build` makes it; raises as `read_settings`."""
    named = client.installable(text, file=options.nix.file)
    return Wanted(text, (named,), read_settings(options.image, client, named, options.output))


def build_images(wanted: Sequence[Wanted], setup: Setup) -> tuple[Outcome, ...]:
    """Build all, planned together: one outcome for each, in their order.

    Raises what goes wrong with an image, and names it; with `keep_going` only what goes wrong with
    all.
    """
    return tuple(_build(each, setup) for each in wanted)


def _build(each: Wanted, setup: Setup) -> Outcome:
    output = setup.run.options.output
    order = Order.of(each.named, each.settings, setup, setup.run.files.output)
    builds = evaluate(
        *(setup.client, setup.systems, each.named, order.spec.added, output),
        preload="nix2oci.cli.steps.publish",
    )
    delivery = prepared_delivery(image_names(order.spec, builds[0][1][0]), order)
    with order.open_base() as opener:
        done = deliver(publish_of(builds, order), order, delivery, opener=opener)
    return Outcome(each.name, done.document)
