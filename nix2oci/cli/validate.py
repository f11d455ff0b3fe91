"""`nix2oci validate`: everything that can be wrong with an image."""

from __future__ import annotations

import click

from nix2oci.cli import options, ui
from nix2oci.oci.validate import validate_layout
from nix2oci.oci.validate.finding import Finding


@click.command("validate")
@click.argument("image")
@options.output_options
def command(image: str, *, as_json: bool, quiet: bool, verbose: int) -> int:  # noqa: ARG001
    """Check everything that can be wrong with IMAGE, a layout directory or an archive.

    Prints every finding and exits 1 when one of them is an error. PATH:TAG checks one image of
    several.
    """
    ui.progress(quiet=quiet).step(f"reading {image}")
    findings = validate_layout(image, options.cores())
    errors = [finding for finding in findings if finding.level == "error"]
    if as_json:
        document = {"valid": not errors, "findings": [_document(found) for found in findings]}
        ui.echo_json(document)
    else:
        for finding in findings:
            click.echo(str(finding))
        if not quiet:
            click.echo(_verdict(image, len(errors), len(findings) - len(errors)))
    return 1 if errors else 0


def _document(finding: Finding) -> dict[str, str]:
    return {
        "level": finding.level,
        "code": finding.code,
        "where": finding.where,
        "message": finding.message,
    }


def _verdict(image: str, errors: int, warnings: int) -> str:
    counted = f"{ui.count(errors, 'error')}, {ui.count(warnings, 'warning')}"
    return f"{image} is {'not ' if errors else ''}valid: {counted}"
