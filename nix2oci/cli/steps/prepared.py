"""What `nix2oci build` would make, without making it: for `plan`, `diff`, `why`, `popularity`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from nix2oci.cli.options.image import ImageOptions
from nix2oci.cli.options.nix import NixOptions
from nix2oci.cli.options.origin import NO_ORIGIN, OriginOptions
from nix2oci.cli.options.output import OutputOptions
from nix2oci.cli.options.registry import RegistryOptions
from nix2oci.cli.render import console
from nix2oci.cli.steps.base_image import locate_base
from nix2oci.cli.steps.evaluate import evaluate, nix_client, parse_installables
from nix2oci.cli.steps.layer_hints import read_hints, say_warnings
from nix2oci.cli.steps.registry import reading
from nix2oci.cli.steps.settings import read_settings
from nix2oci.errors import ConfigError, OutputError
from nix2oci.model.closure import Closure
from nix2oci.nix.output import path_infos
from nix2oci.pipeline.prepare import Prepared, prepare
from nix2oci.plan.layers.layering import Plan, plan_layers, store_layers


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """The options that decide what `build` would make."""

    image: ImageOptions
    nix: NixOptions
    registry: RegistryOptions
    output: OutputOptions
    origin: OriginOptions = NO_ORIGIN


@contextmanager
def planned_image(
    texts: tuple[str, ...], options: PlanOptions, *, with_hints: bool = True
) -> Iterator[Prepared]:
    """What `nix2oci build` would make of installables.

    Without `with_hints` the plan is made without what `layers` names, which need not be there.
    """
    output = options.output
    client = nix_client(options.nix, output, options.origin)
    named = parse_installables(client, texts, options.nix.file)
    settings = read_settings(options.image, named[0])
    spec = settings.spec
    registry = reading(options.registry, spec.base, spec.layers.plan_from, named=False)
    hints = read_hints(spec, registry, output) if with_hints else None
    base = locate_base(settings, registry, output)
    added = [client.installable(text) for text in spec.contents]
    packages = evaluate(client, (*named, *added), output, preload="nix2oci.pipeline.build")
    progress = console.progress(output)
    with (
        base.opener() as opener,
        prepare(client, packages, spec, progress, hints=hints, opener=opener) as found,
    ):
        say_warnings(found.closure, found.plan, hints, output)
        yield found


def planned_record(path: str, options: PlanOptions) -> tuple[Closure, Plan]:
    """A recorded closure and the plan for it."""
    spec = read_settings(options.image, None).spec
    if spec.base:
        raise ConfigError("cannot plan --closure on a base image: a record names no platform")
    closure = recorded_closure(path)
    registry = reading(options.registry, spec.layers.plan_from, named=False)
    hints = read_hints(spec, registry, options.output)
    plan = plan_layers(closure, store_layers(spec.max_layers), hints)
    say_warnings(closure, plan, hints, options.output)
    return closure, plan


def recorded_closure(path: str) -> Closure:
    """The closure of a recorded `nix path-info --json --recursive`."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as err:
        raise OutputError(f"cannot read {path}: {err.strerror}") from err
    return Closure.of_all(path_infos(text))
