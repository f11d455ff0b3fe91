"""`nix2oci pull`: an image of a registry as a file, byte for byte."""

from __future__ import annotations

from contextlib import AbstractContextManager

import click
from msgspec.structs import replace

from nix2oci import text
from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.cli.steps.cache import cache_for_build
from nix2oci.cli.steps.registry_run import registry_run
from nix2oci.config.options.cache import CacheOptions
from nix2oci.config.options.files import Format, format_option
from nix2oci.config.options.group import argument, command, switch, value
from nix2oci.config.options.output import OUTPUT, OutputOptions
from nix2oci.config.options.registry import REGISTRY, RegistryOptions
from nix2oci.oci.layout.writer import Staging, streaming, writing
from nix2oci.oci.reference import parse_reference
from nix2oci.oci.registry.mirrors import open_mirrored
from nix2oci.oci.registry.pull_set import read_pull_set
from nix2oci.oci.registry.repository import Repository
from nix2oci.oci.spec import Platform
from nix2oci.publish.output_place import chosen_format, is_in_git
from nix2oci.publish.pull import AtHand, Pulled
from nix2oci.publish.pull import pull as pulled_into
from nix2oci.report.images import pulled_document


@command(
    "pull",
    argument("ref"),
    click.Option(
        ["-o", "--output", "path"],
        required=True,
        metavar="PATH",
        help="Where it goes; - is stdout.",
    ),
    format_option("An image layout directory, or one tar. [oci; archive for PATH.tar]"),
    value("--platform", "OS/ARCH", "Of an image for several platforms, this one. [all of them]"),
    switch("--no-cache", "Read and keep no layer in the cache."),
    REGISTRY,
    OUTPUT,
)
def pull(
    *,
    ref: str,
    path: str,
    output_format: Format | None,
    platform: str | None,
    no_cache: bool,
    registry: RegistryOptions,
    output: OutputOptions,
) -> None:
    """Pull an image from a registry into a layout or an archive, byte for byte.

    REF is REGISTRY/REPOSITORY@DIGEST, or has a tag; both together are the image of the digest under
    that tag. The same digest gives the same file each time: for a fixed-output derivation, name the
    image by its digest. Signatures and whatever else refers to it stay where they are. Prints the
    reference of what was written.
    """
    reference = parse_reference(ref)
    wanted = Platform.parse(platform) if platform else None
    output_format = chosen_format(path, output_format, on_terminal=context.width() is not None)
    here = Repository.of(reference).registry
    run = registry_run(replace(registry, registry=here, named=True), output)
    pull_set = read_pull_set(open_mirrored(reference, run.clients), wanted)
    progress = console.progress(output)
    if reference.digest is None:
        progress.step(f"{reference} is {pull_set.named.digest}")
    stdout = path == "-"
    in_git = not stdout and is_in_git(path, context.environment())
    cache = cache_for_build(CacheOptions(None, no_cache), output)
    at_hand = AtHand(path if output_format == "oci" else None, cache)
    begun = context.now()
    with (
        _opened(path, output_format, in_git=in_git) as staging,
        progress.bytes(f"pulling {reference}", pull_set.size) as counter,
        run.moving(counter),
    ):
        pulled = pulled_into(pull_set, reference, staging, at_hand, counter.advance)
    progress.step(_summary(pulled, (context.now() - begun).total_seconds()))
    if in_git and output_format == "archive":
        from nix2oci.cli.steps.publish import say_unless_ignored

        say_unless_ignored(path, output)
    written = None if stdout else _written(path, output_format, pulled.tag)
    if output.as_json:
        console.result_json(pulled_document(pulled, written), err=stdout)
    elif written:
        console.result(written)


def _opened(path: str, output_format: Format, *, in_git: bool) -> AbstractContextManager[Staging]:
    if path == "-":
        return streaming(context.standard_output())
    return writing(path, output_format, in_git=in_git)


def _written(path: str, output_format: Format, tag: str | None) -> str:
    """What containers tools take for it: where there is no tag, the only image of the file."""
    prefix = "oci" if output_format == "oci" else "oci-archive"
    return f"{prefix}:{path}" + (f":{tag}" if tag else "")


def _summary(pulled: Pulled, seconds: float) -> str:
    fetched = sum(blob.size for blob in pulled.fetched)
    number, there = len(pulled.fetched), len(pulled.pull_set.blobs) - len(pulled.fetched)
    words = (
        f"pulled {text.count(number, 'blob')}, {text.size(fetched)}" if number else "pulled no blob"
    )
    rate = (
        f" in {seconds:.1f} s, {text.size(int(fetched / seconds))}/s" if number and seconds else ""
    )
    return words + rate + (f"; {there} here already" if there else "")
