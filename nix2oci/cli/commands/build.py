"""`nix2oci build`: flake outputs become one image.

Its `--help` and its start are quick: what it calls is loaded when it is called, and the second half
while Nix evaluates.
"""

from __future__ import annotations

from nix2oci.config.flags import FIRST_OF_BUILD
from nix2oci.config.options.cache import CACHE, CacheOptions
from nix2oci.config.options.files import FILES, FileOptions
from nix2oci.config.options.group import command, installable_arguments
from nix2oci.config.options.load import LOAD, LoadOptions
from nix2oci.config.options.origin import GIVEN, ORIGIN, GivenOptions, OriginOptions
from nix2oci.config.options.plan import PLAN, PlanOptions
from nix2oci.config.options.platforms import PLATFORMS, PlatformOptions
from nix2oci.config.options.push import PUSH, PushOptions
from nix2oci.config.options.run import REFRESH_BASE, SEVERAL, Run, Several
from nix2oci.config.options.trust import TRUST, TrustOptions


@command(
    "build",
    installable_arguments(),
    SEVERAL,
    FILES,
    CACHE,
    ORIGIN,
    GIVEN,
    LOAD,
    PUSH,
    TRUST,
    PLATFORMS,
    REFRESH_BASE,
    PLAN,
    first=FIRST_OF_BUILD,
)
def build(
    *,
    installables: tuple[str, ...],
    several: Several,
    files: FileOptions,
    cache: CacheOptions,
    origin: OriginOptions,
    given: GivenOptions,
    load: LoadOptions,
    push: PushOptions,
    trust: TrustOptions,
    platforms: PlatformOptions,
    refresh_base: bool,
    options: PlanOptions,
) -> int:
    """Build flake outputs into one OCI image, and print its reference.

    INSTALLABLE is what `nix build` takes: .#app, a flake, a store path or a link to one, or with
    --file an attribute; the default is the flake here. The first one names the image and starts
    it; the others are in the image as well. With --all or --image, INSTALLABLE is a flake, and
    each of its images has a layout of its own in -o DIRECTORY, or its own name below --push PATH.
    """
    from nix2oci.cli.steps.evaluate import evaluate, parse_installables, preloading
    from nix2oci.cli.steps.order import Order, Setup
    from nix2oci.cli.steps.read_spec import read_settings

    run = Run(options, push, platforms, cache, files, load, origin, refresh_base, given, trust)
    if several:
        from nix2oci.cli.steps.fleet import build_several

        return build_several(installables, several, run)
    setup = Setup.of(run)
    client, output = setup.client, options.output
    named = parse_installables(client, installables, options.nix.file)
    with preloading(client, "nix2oci.cli.steps.publish"):
        setup.clients[0].evaluate_early(named[0])
        settings = read_settings(options.image, client, named[0], output)
        order = Order.of(named, settings, setup, files.output)
        builds = evaluate(client, setup.systems, named, order.spec.added, output)
    from nix2oci.cli.steps.publish import publish_image  # loaded while Nix was evaluating

    publish_image(builds, order)
    return 0
