"""The bill of materials of an image that exists, or of what would be built."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.cli.steps.cache import cache_for_build
from nix2oci.cli.steps.evaluate import nix_client
from nix2oci.cli.steps.prepared import planned_image
from nix2oci.cli.steps.read_image import reading_image
from nix2oci.cli.steps.read_spec import created
from nix2oci.cli.steps.registry import open_anywhere
from nix2oci.config.options.cache import CacheOptions
from nix2oci.config.options.origin import OriginOptions
from nix2oci.config.options.plan import PlanOptions
from nix2oci.oci.spec import Platform
from nix2oci.publish.registry_options import reading
from nix2oci.trust.components import Bill

if TYPE_CHECKING:
    from nix2oci.pipeline.prepared import Prepared


def bill_of_image(text: str, platform: str | None, options: PlanOptions) -> Bill:
    """Of IMAGE, as `inspect` takes it; raises what opening and reading it raises."""
    from nix2oci.publish.image_sbom import image_bill

    registry, output = reading(options.registry, text), options.output
    wanted = Platform.parse(platform) if platform else None
    source = open_anywhere(text, registry, output, wanted)
    with reading_image(source, text, registry, output) as counted:
        return image_bill(counted, context.cores())


def bill_of_installables(
    texts: tuple[str, ...],
    platform: str | None,
    options: PlanOptions,
    origin: OriginOptions,
    cache: CacheOptions,
) -> Bill:
    """Of what `build` would make; raises what planning it raises.

    What is found in files is kept in the cache, if there is one.
    """
    if platform:
        nix = replace(options.nix, system=Platform.parse(platform).system)
        options = replace(options, nix=nix)
    output = options.output
    kept, client = cache_for_build(cache, output), nix_client(options.nix, output, origin)
    with planned_image(texts, options, client, with_hints=False, cache=kept) as prepared:
        from nix2oci.pipeline.describe import image_names
        from nix2oci.pipeline.gather_knowledge import knowledge_of
        from nix2oci.publish.sbom import plan_subject, planned_bill

        package, spec = prepared.package, prepared.spec
        known = knowledge_of(client, prepared, console.progress(output))
        if kept:
            _keep(prepared, options)
        name = image_names(spec, package)[0].repository.rpartition("/")[2]
        when = created(spec)(package.last_modified)
        return planned_bill(prepared, plan_subject(prepared, name, when), known, {})


def _keep(prepared: Prepared, options: PlanOptions) -> None:
    """Keep what was found in store paths, after their bytes were checked, several at once."""
    new = prepared.notes.unkept()
    if not new:
        return
    total = sum(info.nar_size for info in new)
    checked: list[str] = []
    with (
        console.progress(options.output).bytes("checking store paths", total) as report,
        ThreadPoolExecutor(context.cores()) as pool,
    ):
        for info, right in zip(new, pool.map(prepared.store.is_right, new), strict=True):
            checked += [str(info.path)] if right else []
            report(info.nar_size)
    prepared.notes.commit(lambda _: False, checked)
