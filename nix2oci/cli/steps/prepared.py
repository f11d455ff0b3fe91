"""What `nix2oci build` would make, without making it: for `plan`, `diff`, `why`, `popularity`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nix2oci.cli.render import console
from nix2oci.cli.steps.base_image import locate_base
from nix2oci.cli.steps.evaluate import evaluate, nix_client, parse_installables, preloading
from nix2oci.cli.steps.read_hints import read_hints, say_warnings
from nix2oci.cli.steps.read_spec import read_settings
from nix2oci.config.options.plan import PlanOptions
from nix2oci.nix.client import NixClient
from nix2oci.publish.registry_options import registry_for_build

if TYPE_CHECKING:
    from nix2oci.cache.directory import Cache
    from nix2oci.nix.client import NixClient
    from nix2oci.pipeline.prepared import Prepared


@contextmanager
def planned_image(
    texts: tuple[str, ...],
    options: PlanOptions,
    client: NixClient | None = None,
    *,
    with_hints: bool = True,
    with_program: bool = False,
    cache: Cache | None = None,
) -> Iterator[Prepared]:
    """What `nix2oci build` would make of installables.

    `client` is the Nix that is asked, by default that of the options. Without `with_hints` the plan
    is made without what `layers` names, which need not be there; `with_program` raises what a build
    would say of the program that the image starts. What an earlier run noted is read from `cache`.
    """
    output = options.output
    client = client or nix_client(options.nix, output)
    named = parse_installables(client, texts, options.nix.file)
    with preloading(client, "nix2oci.pipeline.prepare"):
        client.evaluate_early(named[0])
        settings = read_settings(options.image, client, named[0], output)
        spec = settings.spec
        options = registry_for_build(options, spec)
        hints = read_hints(spec, options) if with_hints else None
        open_base = locate_base(settings, options)
        ((_, packages),) = evaluate(client, (), named, spec.added, output)
    from nix2oci.pipeline.prepare import prepare  # loaded while Nix was evaluating

    progress = console.progress(output)
    with (
        open_base() as opener,
        prepare(client, packages, spec, progress, cache, hints=hints, opener=opener) as found,
    ):
        say_warnings(found.closure, found.plan, hints, output)
        if with_program:
            from nix2oci.pipeline.startable import entrypoint

            entrypoint(found, found.spec, progress)
        yield found
