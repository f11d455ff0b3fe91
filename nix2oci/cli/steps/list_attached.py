"""What is attached to an image that exists."""

from __future__ import annotations

from collections.abc import Sequence

from nix2oci.cli.render import console
from nix2oci.compare.attached import Attached, attached_to
from nix2oci.config.options.output import OutputOptions
from nix2oci.errors import RegistryError
from nix2oci.oci.layout.source import Layout
from nix2oci.oci.spec import Descriptor


def attached_or_none(
    layout: Layout, subjects: Sequence[Descriptor], output: OutputOptions
) -> tuple[Attached, ...] | None:
    """What is attached to manifests; None, which is said, where a registry does not tell."""
    try:
        return attached_to(layout, subjects)
    except RegistryError as err:
        console.progress(output).step(f"warning: what is attached is not known: {err}")
        return None
