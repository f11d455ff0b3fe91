"""Plans of store paths of which only a file is there: `--closure`, and what `diff` is given."""

from __future__ import annotations

from nix2oci.cli.render import console
from nix2oci.cli.steps.evaluate import parse_installables
from nix2oci.cli.steps.read_hints import read_hints, say_warnings
from nix2oci.cli.steps.read_spec import read_own_settings
from nix2oci.compare.inputs import recorded_closure
from nix2oci.config.image_spec import ImageSpec
from nix2oci.config.options.plan import PlanOptions
from nix2oci.errors import ConfigError
from nix2oci.model.closure import Closure
from nix2oci.nix.client import NixClient
from nix2oci.nix.given import GivenNix
from nix2oci.nix.realise import absent
from nix2oci.plan.layers.layering import Plan
from nix2oci.publish.registry_options import registry_for_build

PlannedRecord = tuple[Closure, Plan, ImageSpec]
"""What is planned, the plan, and what was asked for."""


def planned_record(path: str, options: PlanOptions) -> PlannedRecord:
    """All that is in a file, and the plan for it."""
    spec = _without_base(read_own_settings(options.image))
    return _planned(recorded_closure(path), spec, options)


def planned_without_files(
    client: NixClient, texts: tuple[str, ...], options: PlanOptions
) -> PlannedRecord | None:
    """What is named of a file, contents included, and the plan for it, by the file alone.

    None where all of it is in the store here, and where a Nix is asked: then the image can be
    planned as it would be built.
    """
    if not isinstance(client, GivenNix):
        return None
    spec = read_own_settings(options.image)
    named = (*parse_installables(client, texts, None), *map(client.installable, spec.added))
    built = client.taken([client.evaluate(one) for one in named])
    away = absent(built, client.physical())
    if away is None:
        return None
    console.progress(options.output).step(f"{away} is not in the store here: no file is read")
    closure = client.closure([path for one in built for path in one.roots])
    return _planned(closure, _without_base(spec), options)


def _without_base(spec: ImageSpec) -> ImageSpec:
    if spec.base:
        raise ConfigError("cannot plan --closure on a base image: a record names no platform")
    return spec


def _planned(closure: Closure, spec: ImageSpec, options: PlanOptions) -> PlannedRecord:
    hints = read_hints(spec, registry_for_build(options, spec))
    from nix2oci.pipeline.prepare import plan_image

    plan = plan_image(closure, spec.max_layers, hints, console.progress(options.output))
    say_warnings(closure, plan, hints, options.output)
    return closure, plan, spec
