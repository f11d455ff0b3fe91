"""`nix2oci verify`: whether an image is what it says it is."""

from __future__ import annotations

import click

from nix2oci.config.options.group import argument, command, installable_arguments, switch, value
from nix2oci.config.options.plan import PLAN, PlanOptions


@command(
    "verify",
    argument("image"),
    installable_arguments(),
    switch("--rebuild", "Make the image again of what it was made of, and compare."),
    value("--provenance", "FILE", "With --rebuild: what it was made of. [what is attached]"),
    PLAN,
)
def verify(
    *,
    image: str,
    installables: tuple[str, ...],
    rebuild: bool,
    provenance: str | None,
    options: PlanOptions,
) -> int:
    """Check that IMAGE is what it says."""
    from nix2oci.cli.steps.rebuild import verify_by_rebuild

    if not rebuild:
        raise click.UsageError("nothing is to be verified: --rebuild")
    return verify_by_rebuild(image, installables, provenance, options)
