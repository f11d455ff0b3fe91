"""`nix2oci validate`: everything that can be wrong with an image."""

from __future__ import annotations

from functools import partial

from nix2oci import text
from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.cli.steps.read_image import reading_bytes
from nix2oci.cli.steps.registry import open_in_registry
from nix2oci.config.options.group import argument, command
from nix2oci.config.options.output import OUTPUT, OutputOptions
from nix2oci.config.options.registry import REGISTRY, RegistryOptions
from nix2oci.oci.validate.check_image import validate_entries, validate_layout
from nix2oci.publish.registry_options import reading
from nix2oci.report.images import finding_document


@command("validate", argument("image"), REGISTRY, OUTPUT)
def validate(*, image: str, registry: RegistryOptions, output: OutputOptions) -> int:
    """Check everything that can be wrong with IMAGE: a layout, an archive, or in a registry.

    Prints every finding and exits 1 when one of them is an error. PATH:TAG checks one image of
    several; REGISTRY/REPOSITORY:TAG what is in a registry.
    """
    registry = reading(registry, image)
    progress = partial(reading_bytes, image, registry=registry, output=output)
    layout = open_in_registry(image, registry, output)
    if layout is None:
        findings = validate_layout(image, context.cores(), progress)
    else:
        findings = validate_entries(layout, layout.entries(), context.cores(), progress)
    errors = [finding for finding in findings if finding.level == "error"]
    if output.as_json:
        document = {
            "valid": not errors,
            "findings": [finding_document(found) for found in findings],
        }
        console.result_json(document)
    else:
        for finding in findings:
            console.result(text.printable(str(finding)))
        if not output.quiet:
            console.result(_verdict(image, len(errors), len(findings) - len(errors)))
    return 1 if errors else 0


def _verdict(image: str, errors: int, warnings: int) -> str:
    counted = f"{text.count(errors, 'error')}, {text.count(warnings, 'warning')}"
    return f"{image} is {'not ' if errors else ''}valid: {counted}"
