"""`nix2oci build`: flake outputs become one image.

Its `--help` and its start are quick: what it calls is loaded when it is called, and the second half
while Nix evaluates.
"""

from __future__ import annotations

from dataclasses import replace

import click

from nix2oci.cli.options.cache import CACHE, CacheOptions
from nix2oci.cli.options.files import FILES, FileOptions, chosen_format
from nix2oci.cli.options.group import command
from nix2oci.cli.options.image import IMAGE, ImageOptions
from nix2oci.cli.options.load import LOAD, LoadOptions
from nix2oci.cli.options.nix import NIX, NixOptions
from nix2oci.cli.options.origin import ORIGIN, OriginOptions
from nix2oci.cli.options.output import OUTPUT, OutputOptions
from nix2oci.cli.options.platforms import PLATFORMS, PlatformOptions
from nix2oci.cli.options.push import PUSH, PushOptions
from nix2oci.cli.options.registry import REGISTRY, RegistryOptions


@command(
    "build",
    click.Argument(["installables"], nargs=-1, metavar="[INSTALLABLE]..."),
    FILES,
    CACHE,
    ORIGIN,
    LOAD,
    PUSH,
    PLATFORMS,
    click.Option(
        ["--refresh-base"],
        is_flag=True,
        help="Look up again which image the tag of `base` in nix2oci.yaml means.",
    ),
    REGISTRY,
    IMAGE,
    NIX,
    OUTPUT,
)
def build(
    *,
    installables: tuple[str, ...],
    files: FileOptions,
    cache: CacheOptions,
    origin: OriginOptions,
    load: LoadOptions,
    push: PushOptions,
    platforms: PlatformOptions,
    refresh_base: bool,
    registry: RegistryOptions,
    image: ImageOptions,
    nix: NixOptions,
    output: OutputOptions,
) -> None:
    """Build flake outputs into one OCI image, and print its reference.

    INSTALLABLE is what `nix build` takes: .#app, a flake, a store path or a link to one, or with
    --file an attribute; the default is the flake here. The first one names the image and starts
    it; the others are in the image as well.
    """
    from nix2oci.cli.steps.base_image import locate_base
    from nix2oci.cli.steps.cache import cache_for_build
    from nix2oci.cli.steps.engine import check_engine, check_platforms, choose_engine
    from nix2oci.cli.steps.evaluate import evaluate, nix_client, parse_installables
    from nix2oci.cli.steps.layer_hints import read_hints
    from nix2oci.cli.steps.push_target import check_named, push_target
    from nix2oci.cli.steps.registry import reading
    from nix2oci.cli.steps.settings import check_archive, created, read_settings

    engine = choose_engine(load, files, output, pushed=push.push is not None)
    target = push_target(push, files, loaded=engine is not None)
    output_format = chosen_format(files.output, files.output_format)
    systems = platforms.systems(nix.system)
    check_platforms(engine, systems)
    client = nix_client(replace(nix, system=None) if systems else nix, output, origin)
    named = parse_installables(client, installables, nix.file)
    settings = read_settings(image, named[0])
    spec = settings.spec
    check_archive(output_format, spec)
    check_named(target, spec.name)
    check_engine(engine, spec)
    kept = cache_for_build(cache, output)
    created(spec)  # what is wrong with it is said now, not after an hour of building
    if target:
        registry = registry.pushing_to(target.registry(spec.name))
    else:
        registry = reading(registry, spec.base, spec.layers.plan_from, named=False)
    hints = read_hints(spec, registry, output)
    base = locate_base(
        settings, registry, output, write_lock=True, refresh=refresh_base, cache=kept
    )
    named += [client.installable(text) for text in spec.contents]
    clients = [client.for_system(system) for system in systems] or [client]
    builds = [
        (one, evaluate(one, named, output, preload="nix2oci.cli.steps.publish")) for one in clients
    ]
    from nix2oci.cli.steps.image_output import ImageOutput  # loaded while Nix was evaluating
    from nix2oci.cli.steps.publish import publish_image

    destination = ImageOutput(files.output, output_format, engine, target)
    with base.opener() as opener:
        publish_image(
            builds=builds,
            spec=spec,
            target=destination,
            files=files,
            registry=registry,
            output=output,
            cache=kept,
            hints=hints,
            opener=opener,
        )
