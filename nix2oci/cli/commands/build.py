"""`nix2oci build`: flake outputs become one image.

Its `--help` and its start are quick: what it calls is loaded when it is called, and the second half
while Nix evaluates.
"""

from __future__ import annotations

from msgspec.structs import replace

from nix2oci.cli import context
from nix2oci.config.flags import FIRST_OF_BUILD
from nix2oci.config.options.cache import CACHE, CacheOptions
from nix2oci.config.options.files import FILES, FileOptions
from nix2oci.config.options.group import Group, command, installable_arguments, switch
from nix2oci.config.options.load import LOAD, LoadOptions
from nix2oci.config.options.origin import ORIGIN, OriginOptions
from nix2oci.config.options.plan import PLAN, PlanOptions
from nix2oci.config.options.platforms import PLATFORMS, PlatformOptions
from nix2oci.config.options.push import PUSH, PushOptions

REFRESH_BASE = Group(
    "refresh_base",
    lambda *, refresh_base: refresh_base,
    (
        switch(
            "--refresh-base", "Look up again which image the tag of `base` in nix2oci.yaml means."
        ),
    ),
    "Image",
)


@command(
    "build",
    installable_arguments(),
    FILES,
    CACHE,
    ORIGIN,
    LOAD,
    PUSH,
    PLATFORMS,
    REFRESH_BASE,
    PLAN,
    first=FIRST_OF_BUILD,
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
    options: PlanOptions,
) -> None:
    """Build flake outputs into one OCI image, and print its reference.

    INSTALLABLE is what `nix build` takes: .#app, a flake, a store path or a link to one, or with
    --file an attribute; the default is the flake here. The first one names the image and starts
    it; the others are in the image as well.
    """
    from nix2oci.cli.steps.base_image import locate_base
    from nix2oci.cli.steps.cache import cache_for_build
    from nix2oci.cli.steps.engine import check_engine, choose_engine
    from nix2oci.cli.steps.evaluate import evaluate, nix_client, parse_installables
    from nix2oci.cli.steps.output_place import check_place, chosen_format
    from nix2oci.cli.steps.push_target import check_named, push_target
    from nix2oci.cli.steps.read_hints import read_hints
    from nix2oci.cli.steps.read_spec import check_spec, read_settings
    from nix2oci.cli.steps.registry import registry_for_build
    from nix2oci.pipeline.write_file import check_writable

    nix, output = options.nix, options.output
    engine = choose_engine(load, files, output, pushed=bool(push.push))
    check_writable(files.metadata, files.image_refs, after=files.output)
    target = push_target(push, files, loaded=engine is not None)
    output_format = chosen_format(files.output, files.output_format)
    systems = platforms.systems(nix.system)
    client = nix_client(replace(nix, system=None) if systems else nix, output, origin)
    named = parse_installables(client, installables, nix.file)
    settings = read_settings(options.image, client, named[0], output)
    spec = settings.spec
    check_spec(spec, output_format, output)
    in_git = check_place(files, output_format, named, settings, written=not (engine or target))
    check_named(target, spec.name)
    check_engine(engine, spec, systems)
    kept = cache_for_build(cache, output)
    options = registry_for_build(options, spec, target)
    hints = read_hints(spec, options)
    open_base = locate_base(settings, options, write_lock=True, refresh=refresh_base, cache=kept)
    preload = "nix2oci.cli.steps.publish"
    builds = evaluate(client, systems, named, spec.added, output, preload=preload)
    from nix2oci.cli.steps.publish import publish_image  # loaded while Nix was evaluating
    from nix2oci.pipeline.image_target import ImageTarget

    stdout = context.standard_output()
    destination = ImageTarget(files.output, output_format, stdout, engine, target, in_git=in_git)
    with open_base() as opener:
        publish_image(
            *(builds, spec, destination, files, options), cache=kept, hints=hints, opener=opener
        )
