"""An image that is looked into: opened wherever it is, its layers read when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from nix2oci.cli.options.output import OutputOptions
from nix2oci.cli.options.registry import RegistryOptions
from nix2oci.cli.render import console
from nix2oci.cli.steps.registry import open_in_registry, reading
from nix2oci.oci.layout.source import open_image
from nix2oci.oci.merged_files import ImageFiles
from nix2oci.oci.spec import Descriptor, Platform


@contextmanager
def looking_into(
    image: str,
    platform: str | None,
    registry: RegistryOptions,
    output: OutputOptions,
    *,
    whole: bool = False,
) -> Iterator[ImageFiles]:
    """The files of IMAGE, as `inspect` takes it, `whole` where all layers will be read.

    Raises what opening it raises.
    """
    wanted = Platform.parse(platform) if platform else None
    layout = open_in_registry(image, reading(registry, image), output)
    if layout is None:
        yield ImageFiles(open_image(image, wanted))
        return
    from nix2oci.oci.registry.download import fetch, on_demand
    from nix2oci.transient.scratch import temporary_directory

    def fetching(layer: Descriptor) -> AbstractContextManager[Callable[[int], None]]:
        return console.progress(output).bytes(f"fetching layer {layer.digest}", layer.size)

    source = layout.image(platform=wanted)
    with temporary_directory() as directory:
        if whole:
            size = sum(layer.size for layer in source.layers())
            with console.progress(output).bytes(f"fetching {image}", size) as counter:
                source = fetch(source, directory, counter)
        else:
            source = on_demand(source, directory, fetching)
        yield ImageFiles(source)
