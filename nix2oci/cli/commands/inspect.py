"""`nix2oci inspect`: the layers, store paths and configuration of an image."""

from __future__ import annotations

import click

from nix2oci.cli import context
from nix2oci.cli.options.group import command
from nix2oci.cli.options.output import OUTPUT, OutputOptions
from nix2oci.cli.options.registry import REGISTRY, RegistryOptions
from nix2oci.cli.render import console
from nix2oci.cli.render.inspect import Inspected, image_document, image_text
from nix2oci.cli.render.shells import recorded
from nix2oci.cli.steps.registry import open_anywhere, reading
from nix2oci.errors import LayoutError
from nix2oci.oci.fields import parse_object
from nix2oci.oci.layer.extract import small_files
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import Descriptor, Platform
from nix2oci.oci.validate.image import read_layers
from nix2oci.oci.validate.layer_contents import LayerContents
from nix2oci.plan.shell import is_launcher
from nix2oci.plan.shell_record import ANNOTATION
from nix2oci.text import display


@command(
    "inspect",
    click.Argument(["image"]),
    click.Option(
        ["--platform"],
        metavar="OS/ARCH",
        help="Of an image for several platforms. [this machine's]",
    ),
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
    source = open_anywhere(image, reading(registry, image), output, wanted)
    console.progress(output).step(f"reading {image}")
    layers = source.layers()
    contents = read_layers(source, layers, workers=context.cores())
    found = Inspected(source, layers, contents, _launchers(source, layers, contents))
    record = _record(source)
    if output.as_json:
        launchers = [display(b"/" + path) for path in found.launchers]
        console.result_json(image_document(found) | {"launchers": launchers, "shell": record})
        return
    console.result(image_text(found, every=bool(output.verbose)))
    for line in recorded(record) if output.verbose else ():
        console.result(line)


def _record(source: ImageSource) -> dict[str, object] | None:
    """What `nix2oci build` wrote down about shells; None for an image that has no such note."""
    note = source.manifest().annotations.get(ANNOTATION)
    try:
        return dict(parse_object(note.encode(), ANNOTATION)) if note else None
    except LayoutError:
        return None


def _launchers(
    source: ImageSource, layers: tuple[Descriptor, ...], contents: tuple[LayerContents, ...]
) -> list[bytes]:
    """The programs in the last layer that are launchers: they lie over those of a layer below."""
    below = {path for found in contents[:-1] for path in found.store_paths}
    for layer, found in list(zip(layers, contents, strict=True))[-1:]:
        if len(layers) == 1 or found.store_paths.keys() <= below:
            programs = {path for path, node in found.nodes.items() if node.executable}
            files = small_files(source, layer, programs) if programs else {}
            return sorted(path for path, data in files.items() if is_launcher(data))
    return []
