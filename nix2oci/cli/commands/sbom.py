"""`nix2oci sbom`: what is in an image, as a document for scanners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from nix2oci.cli.render import console
from nix2oci.config.options.cache import CACHE, CacheOptions
from nix2oci.config.options.group import command, switch, value
from nix2oci.config.options.origin import ORIGIN, OriginOptions
from nix2oci.config.options.plan import PLAN_OF_BYTES, PlanOptions
from nix2oci.config.options.platforms import ONE_PLATFORM
from nix2oci.errors import ConfigError
from nix2oci.publish.write_file import check_writable, write_file

if TYPE_CHECKING:
    from nix2oci.trust.components import Bill


@command(
    "sbom",
    click.Argument(["texts"], nargs=-1, metavar="[IMAGE|INSTALLABLE]..."),
    click.Option(
        ["--format", "sbom_format"],
        type=click.Choice(["cyclonedx", "spdx"]),
        default="cyclonedx",
        help="CycloneDX 1.6 or SPDX 2.3, as JSON. [cyclonedx]",
    ),
    value("-o", "FILE", "Where the document goes. [stdout]", "--output"),
    switch("--guess-cpes", "Guess a CPE where Nix knows none, and mark it as a guess."),
    ONE_PLATFORM,
    ORIGIN,
    CACHE,
    PLAN_OF_BYTES,
)
def sbom(
    *,
    texts: tuple[str, ...],
    sbom_format: Literal["cyclonedx", "spdx"],
    output: str | None,
    guess_cpes: bool,
    platform: str | None,
    origin: OriginOptions,
    cache: CacheOptions,
    options: PlanOptions,
) -> None:
    """Print the bill of materials of an image: its store paths, and packages of languages in them.

    INSTALLABLE is what `nix2oci build` takes: it is built with Nix and planned, and the document
    has what Nix knows of each store path. IMAGE is what `nix2oci inspect` takes; of that is known
    what its files and its manifest say, whatever made it. The same image gives the same bytes.
    """
    from nix2oci.cli.steps.sbom import bill_of_image, bill_of_installables
    from nix2oci.compare.inputs import InputKind, kind_of
    from nix2oci.publish.sbom import documents_of

    check_writable(None if output == "-" else output)
    kinds = [kind_of(text) for text in texts]
    if InputKind.CLOSURE in kinds:
        raise ConfigError(
            f"cannot describe {texts[kinds.index(InputKind.CLOSURE)]}: "
            "a recorded closure has no files",
            hint="name an image or an installable",
        )
    bill: Bill
    if InputKind.IMAGE in kinds:
        if len(texts) > 1:
            raise ConfigError("cannot describe an image and something else at once")
        bill = bill_of_image(texts[0], platform, options)
    else:
        bill = bill_of_installables(texts, platform, options, origin, cache)
    (document,) = documents_of(bill, (sbom_format,), guess_cpes=guess_cpes)
    if output in (None, "-"):
        console.result_bytes(document.data)
    else:
        write_file(output, document.data)
