"""`nix2oci validate`: everything that can be wrong with an image."""

from __future__ import annotations

from typing import Any

import click

from nix2oci.cli import options, registries, ui
from nix2oci.oci.validate.finding import Finding
from nix2oci.oci.validate.image import validate_entries, validate_layout


@click.command("validate")
@click.argument("image")
@registries.registry_options
@options.output_options
def command(image: str, **values: Any) -> int:
    """Check everything that can be wrong with IMAGE: a layout, an archive, or in a registry.

    Prints every finding and exits 1 when one of them is an error. PATH:TAG checks one image of
    several; REGISTRY/REPOSITORY:TAG what is in a registry.
    """
    ui.progress(quiet=values["quiet"]).step(f"reading {image}")
    layout = registries.remote(image, values)
    if layout is None:
        findings = validate_layout(image, options.cores())
    else:
        findings = validate_entries(layout, layout.entries(), options.cores())
    errors = [finding for finding in findings if finding.level == "error"]
    if values["as_json"]:
        document = {"valid": not errors, "findings": [_document(found) for found in findings]}
        ui.echo_json(document)
    else:
        for finding in findings:
            click.echo(str(finding))
        if not values["quiet"]:
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
