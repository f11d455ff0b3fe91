"""`nix2oci index`: images that were built apart become one, for several platforms."""

from __future__ import annotations

import click

from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.cli.steps.registry import open_in_registry
from nix2oci.config.options.files import Format, format_option
from nix2oci.config.options.group import command, repeated
from nix2oci.config.options.output import OUTPUT, OutputOptions
from nix2oci.config.options.registry import REGISTRY, RegistryOptions
from nix2oci.errors import ConfigError
from nix2oci.oci.index import copy_blobs, images_at, index_of
from nix2oci.oci.layout.writer import reference_to, streaming, writing
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import Digest
from nix2oci.publish.output_place import chosen_format, is_in_git
from nix2oci.publish.registry_options import reading
from nix2oci.report.images import index_document


@command(
    "index",
    click.Argument(["images"], nargs=-1, required=True, metavar="IMAGE..."),
    click.Option(
        ["-o", "--output", "path"],
        required=True,
        metavar="PATH",
        help="Where it goes; - is stdout.",
    ),
    format_option("An image layout directory, or one tar. [oci; archive for PATH.tar]"),
    repeated(
        "--tag", "NAME:TAG", "Its name; again for each further one. [that of the first image]"
    ),
    REGISTRY,
    OUTPUT,
)
def index(
    *,
    images: tuple[str, ...],
    path: str,
    output_format: Format | None,
    tag: tuple[str, ...],
    registry: RegistryOptions,
    output: OutputOptions,
) -> None:
    """Join images of one program for several platforms into one image index.

    IMAGE is a layout directory or an archive, as PATH or PATH:TAG, or is in a registry:
    REGISTRY/REPOSITORY:TAG. One that is an index itself stands for all of its images. No two may
    be for the same platform. Prints the reference of the index, from which engines and registries'
    clients choose what fits their machine.
    """
    output_format = chosen_format(path, output_format, on_terminal=context.width() is not None)
    registry = reading(registry, *images)
    found = [images_at(text, open_in_registry(text, registry, output)) for text in images]
    names = _names(tag) or [each.name for each in found[:1] if each.name]
    if not names:
        raise ConfigError(f"cannot name the index: {images[0]} has no name", hint="give it --tag")
    sources = [image for group in found for image in group.images]
    artifacts = [other for group in found for other in group.artifacts]
    about = {each.descriptor.digest: each for group in found for each in group.referrers}
    joined = index_of(sources, artifacts)
    stdout = path == "-"
    in_git = not stdout and is_in_git(path, context.environment())
    opened = (
        streaming(context.standard_output())
        if stdout
        else writing(path, output_format, in_git=in_git)
    )
    with opened as staging:
        copied: set[Digest] = set()
        for image in sources:
            console.progress(output).step(f"copying {image.where} for {image.platform()}")
            copy_blobs(image, staging, copied)
        for other in (*artifacts, *about.values()):
            copy_blobs(other, staging, copied)
        staging.finish_indexes([(joined, names)], [each.descriptor for each in about.values()])
    if in_git and output_format == "archive":
        from nix2oci.cli.steps.publish import say_unless_ignored

        say_unless_ignored(path, output)
    references = [] if stdout else [reference_to(path, output_format, name) for name in names]
    if output.as_json:
        console.result_json(index_document(joined, names[0], references), err=stdout)
    else:
        console.result(*references)


def _names(given: tuple[str, ...]) -> list[Reference]:
    """Each once; `ConfigError` for two that a layout has one tag for."""
    found = dict.fromkeys(Reference.parse(text).tagged() for text in given)
    by_tag: dict[str | None, Reference] = {}
    for name in found:
        other = by_tag.setdefault(name.tag, name)
        if other != name:
            raise ConfigError(
                f"cannot name the index {other} and {name}: a layout has one image for each tag",
                hint="push it under several names: nix2oci push IMAGE REF...",
            )
    return list(found)
