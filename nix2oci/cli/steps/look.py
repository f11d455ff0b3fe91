"""An image that is looked into: opened wherever it is, its layers read when they are needed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from nix2oci.cli.render import console
from nix2oci.cli.steps.registry import open_in_registry
from nix2oci.config.options.output import OutputOptions
from nix2oci.config.options.registry import RegistryOptions
from nix2oci.oci.layout.source import open_image
from nix2oci.oci.merged_files import ImageFiles
from nix2oci.oci.spec import Platform
from nix2oci.publish.registry_options import reading


def looking_into(
    image: str,
    platform: str | None,
    registry: RegistryOptions,
    output: OutputOptions,
    *,
    whole: bool = False,
) -> AbstractContextManager[ImageFiles]:
    """The files of IMAGE, as `inspect` takes it, `whole` where all layers will be read."""
    wanted = Platform.parse(platform) if platform else None
    layout = open_in_registry(image, reading(registry, image), output)
    if layout is None:
        return nullcontext(ImageFiles(open_image(image, wanted)))
    from nix2oci.publish.fetched_files import fetched_files

    source = layout.image(platform=wanted)
    return fetched_files(source, console.progress(output), whole=whole)
