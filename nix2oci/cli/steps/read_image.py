"""Reading whole images, which takes a while: how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nix2oci.cli.render import console
from nix2oci.compare.described import contents_named_by
from nix2oci.config.options.output import OutputOptions
from nix2oci.config.options.registry import RegistryOptions
from nix2oci.errors import LayoutError, OutputError, RegistryError
from nix2oci.oci.layout.counted import CountedBlobs
from nix2oci.oci.layout.source import ImageSource, reference_in_registry
from nix2oci.trust.contents import Contents


@contextmanager
def reading_image(
    source: ImageSource, text: str, registry: RegistryOptions, output: OutputOptions
) -> Iterator[ImageSource]:
    """An image, opened as `text`, to be read in the block; raises what its manifest does."""
    total = sum(layer.size for layer in source.layers())
    with reading_bytes(text, total, registry, output) as counter:
        yield CountedBlobs.of(source, counter)


def contents_without_reading(
    source: ImageSource, text: str, output: OutputOptions
) -> Contents | None:
    """What an attached document says of an image in a registry; None where layers are to be read.

    Either is said, but for an image that names no such document.
    """
    if reference_in_registry(text) is None:
        return None
    step = console.progress(output).step
    try:
        found = contents_named_by(source)
    except (RegistryError, OutputError, LayoutError) as err:
        step(f"layers of {text} are read, without the document that says what is in them: {err}")
        return None
    if found:
        step(f"no layer of {text} is read: a document of nix2oci says what is in them")
    return found


@contextmanager
def reading_bytes(
    text: str, total: int, registry: RegistryOptions, output: OutputOptions
) -> Iterator[console.Counter]:
    """Takes the bytes of layers as they are read; what is said of the registry comes between."""
    with console.progress(output).bytes(f"reading {text}", total) as counter:
        if reference_in_registry(text) is None:
            yield counter
            return
        from nix2oci.cli.steps.registry_run import registry_run  # loaded when used

        between = console.Counter(lambda _: None, counter.step)
        with registry_run(registry, output).moving(between):
            yield counter
