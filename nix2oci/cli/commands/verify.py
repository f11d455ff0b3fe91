"""`nix2oci verify`: whether an image is what it says it is, and who says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nix2oci.cli.render import console
from nix2oci.config.options.group import argument, command, installable_arguments, switch, value
from nix2oci.config.options.plan import PLAN, PlanOptions

if TYPE_CHECKING:
    from nix2oci.report.rebuilt import Result


@command(
    "verify",
    argument("image"),
    installable_arguments(),
    value(
        "--key",
        "PUB",
        "The public key that must have signed: a file in PEM, nix:FILE, or env://VARIABLE.",
    ),
    switch("--rebuild", "Make the image again of what it was made of, and compare."),
    value("--provenance", "FILE", "With --rebuild: what it was made of. [what is attached]"),
    value("--platform", "OS/ARCH", "Of an image for several platforms, only this one. [all]"),
    PLAN,
)
def verify(
    *,
    image: str,
    installables: tuple[str, ...],
    key: str | None,
    rebuild: bool,
    provenance: str | None,
    platform: str | None,
    options: PlanOptions,
) -> int:
    """Verify that IMAGE is what it says, and who says so; exit code 1 where it is not.

    IMAGE is what `nix2oci inspect` takes. With --key, it has to be signed by that key. Bills of
    materials and provenances are held against the store paths that lie in the layers, whoever
    attached them; of an image for several platforms, against those of all, or of --platform.
    With --rebuild it is made again, of what its provenance says or of INSTALLABLE, and compared.
    """
    from nix2oci.cli.steps.rebuild import rebuild as rebuilt
    from nix2oci.cli.steps.rebuild_claims import attached_claims, claims_of
    from nix2oci.cli.steps.verify_attached import verify_attached
    from nix2oci.publish.registry_options import reading
    from nix2oci.report.rebuilt import rebuilt_document, rebuilt_lines
    from nix2oci.text import printable

    if not rebuild and (installables or provenance):
        raise click.UsageError("an installable or --provenance is for --rebuild")
    output, registry = options.output, reading(options.registry, image)
    shown = None
    if key is not None or not rebuild:
        shown = verify_attached(image, key, platform, registry, output)
    results: list[Result] = []
    if rebuild:
        claims = (
            claims_of(provenance) if provenance else attached_claims(image, key, registry, output)
        )
        told = rebuilt(image, installables, claims, options, platform)
        results = [(each.found, each.reasons) for each in told]
    again = rebuilt_document(image, results) if rebuild else {}
    if output.as_json:
        own = {**shown.document, "rebuild": again or None} if shown else again
        console.result_json(own)
    else:
        if shown:
            console.result_text(shown.text)
        if rebuild:
            console.result(*map(printable, rebuilt_lines(image, results)))
    is_same = all(found.is_same for found, _ in results)
    return 1 if not is_same or (shown and shown.found.problems) else 0
