"""`nix2oci inspect`: the layers, store paths and configuration of an image."""

from __future__ import annotations

from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.cli.steps.list_attached import attached_or_none
from nix2oci.cli.steps.read_image import contents_without_reading, reading_image
from nix2oci.cli.steps.registry import open_layout_anywhere
from nix2oci.compare.attached import subjects_of_image
from nix2oci.compare.image_contents import described_image, read_image
from nix2oci.config.options.group import argument, command
from nix2oci.config.options.output import OUTPUT, OutputOptions
from nix2oci.config.options.platforms import ONE_PLATFORM
from nix2oci.config.options.registry import REGISTRY, RegistryOptions
from nix2oci.oci.spec import Platform
from nix2oci.plan.shell_record import recorded
from nix2oci.publish.registry_options import reading
from nix2oci.report.attached_documents import listed_document, listed_table
from nix2oci.report.images import image_document
from nix2oci.report.terminal.inspect import image_text


@command(
    "inspect",
    argument("image"),
    ONE_PLATFORM,
    REGISTRY,
    OUTPUT,
)
def inspect(
    *, image: str, platform: str | None, registry: RegistryOptions, output: OutputOptions
) -> None:
    """Show the layers, store paths and configuration of IMAGE, whatever made it.

    IMAGE is a layout directory or an archive, as PATH, PATH:TAG or what `nix2oci build` printed,
    or is in a registry: REGISTRY/REPOSITORY:TAG. The store paths are those that are found in the
    layers. -v lists all of them, and what the image records of wrappers, dropped paths and what
    still names a shell.
    """
    wanted = Platform.parse(platform) if platform else None
    registry = reading(registry, image)
    layout, tag = open_layout_anywhere(image, registry, output)
    source = layout.image(tag, wanted)
    subjects = subjects_of_image(layout, tag, source)
    if contents := contents_without_reading(source, image, output):
        found = described_image(source, contents)
    else:
        with reading_image(source, image, registry, output) as counted:
            found = read_image(counted, context.cores())
    attached = attached_or_none(layout, subjects, output)
    if output.as_json:
        listed = None if attached is None else listed_document(attached)
        console.result_json({**image_document(found), "attached": listed})
        return
    notes = recorded(found.shell_record) if output.verbose else ()
    text = image_text(found, every=bool(output.verbose))
    console.result_text([*text, *notes, *listed_table(attached or (), subjects[0])])
