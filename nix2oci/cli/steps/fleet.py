"""Several images in one run: what each of them is, and all of them made and sent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.cli.render import console
from nix2oci.cli.steps.evaluate import parse_installables
from nix2oci.cli.steps.order import Order, Setup
from nix2oci.cli.steps.publish import (
    Delivered,
    Document,
    deliver,
    prepared_delivery,
    write_files,
)
from nix2oci.cli.steps.read_hints import read_hints
from nix2oci.cli.steps.read_spec import read_images, read_settings
from nix2oci.config.image_settings import Settings
from nix2oci.config.options.files import FileOptions
from nix2oci.config.options.origin import NO_ORIGIN, OriginOptions
from nix2oci.config.options.plan import PlanOptions
from nix2oci.config.options.platforms import PlatformOptions
from nix2oci.config.options.run import NO_CACHE, NOT_PUSHED, Run, Several
from nix2oci.errors import ConfigError, Nix2OCIError
from nix2oci.nix.client import NixClient
from nix2oci.nix.flake_inputs import as_locked
from nix2oci.nix.installable import Installable
from nix2oci.nix.joint import every_package, one_name_each
from nix2oci.nix.package import Package
from nix2oci.oci.reference import Reference
from nix2oci.oci.registry.repository import Repository
from nix2oci.pipeline.attempts import Attempts, naming
from nix2oci.pipeline.fleet import run_cache
from nix2oci.pipeline.prepared import Prepared
from nix2oci.publish.jobs import Asked, Job, MakeAll, planned, run_all
from nix2oci.publish.registry_options import registry_for_build
from nix2oci.report.json_documents import fleet_entry


class Wanted(Struct, frozen=True):
    """One image of a run."""

    name: str
    """What errors and progress call it."""
    named: tuple[Installable, ...]
    """The first one names it, and starts it."""
    settings: Settings
    flake: Installable | None = None
    """The flake whose inputs names mean in its settings, where that is not the image's own."""
    package: Package | None = None
    """What is known of it, where it is only one of the flake's packages."""

    @property
    def names_of(self) -> Installable:
        """What names in its settings are looked up in."""
        return self.flake or self.named[0]


class Outcome(Struct, frozen=True):
    """What became of one image."""

    name: str
    document: Document | None
    """What `build --json` prints of it: after a push `reference` is REGISTRY/REPOSITORY@DIGEST."""
    error: Nix2OCIError | None = None
    """Only where the run was to keep going: else it is raised."""
    delivered: Delivered | None = None


def image_of(client: NixClient, text: str, options: PlanOptions) -> Wanted:
    """The image of an installable, as `nix2oci build` makes it; raises as `read_settings`."""
    named = client.installable(text, file=options.nix.file)
    return Wanted(text, (named,), read_settings(options.image, client, named, options.output))


def images_of_file(
    client: NixClient, main: Installable, options: PlanOptions, names: Sequence[str] = ()
) -> tuple[Wanted, ...]:
    """The images of nix2oci.yaml beside the flake of `main`: all, or those of these names.

    They are in the order of the file. Raises `ConfigError`, with the line of what is wrong.
    """
    wanted = []
    for name, text, settings in read_images(options.image, client, main, options.output, names):
        one = client.installable(text, file=options.nix.file)
        wanted.append(Wanted(name, (as_locked(client, one, main),), settings, main))
    return tuple(wanted)


def wanted_images(
    installables: tuple[str, ...], several: Several, setup: Setup
) -> tuple[Wanted, ...]:
    """The images that `--all` and `--image` mean; raises `ConfigError`."""
    options, client = setup.run.options, setup.client
    main, *more = parse_installables(client, installables, options.nix.file)
    if more or main.attr or main.kind == "path":
        raise ConfigError(
            f"cannot use {several} with {(more or [main])[-1].text}: images are those of a flake",
            hint="name the flake alone, or nothing for the flake here",
        )
    if several.every and several.names:
        raise ConfigError("cannot use --all with --image: one means every image, the other some")
    found = images_of_file(client, main, options, several.names)
    return found or _packages(client, main, options)


def _packages(client: NixClient, main: Installable, options: PlanOptions) -> tuple[Wanted, ...]:
    """An image for each package of a flake, whatever names it has."""
    settings = read_settings(options.image, client, main, options.output)
    known = every_package(client, main) if main.kind == "flake" else {}
    by_package, left_out = one_name_each(known)
    for name, why in left_out.items():
        console.progress(options.output).step(f"left out {name}: {why}")
    if not by_package:
        raise ConfigError(
            f"cannot build all of '{main.text}': there is no package",
            hint="name images below `images` in nix2oci.yaml",
        )
    return tuple(
        Wanted(name, (package.installable,), settings, main, package)
        for name, package in by_package.items()
    )


def build_several(installables: tuple[str, ...], several: Several, run: Run) -> int:
    """`build --all` and `--image`: all are made, and their references printed; the exit code."""
    setup, output = Setup.of(run, several=True), run.options.output
    outcomes = build_images(wanted_images(installables, several, setup), setup)
    documents = write_reports(outcomes, run.files)
    if output.as_json:
        console.result_json(documents)
    else:
        done = (each.document for each in outcomes if each.document)
        console.result(*(line for document in done for line in document["references"]))
    return next((each.error.exit_code for each in outcomes if each.error), 0)


def write_reports(outcomes: Sequence[Outcome], files: FileOptions) -> list[dict[str, object]]:
    """Write what --metadata and --image-refs name; what `--json` prints."""
    documents = [fleet_entry(each.name, each.document, each.error) for each in outcomes]
    write_files(documents, [each.delivered for each in outcomes if each.delivered], files)
    return documents


def build_images(wanted: Sequence[Wanted], setup: Setup) -> tuple[Outcome, ...]:
    """Build all, planned together: one outcome for each, in their order, unless it is left out.

    Raises what goes wrong with an image, and names it; with `keep_going` only what goes wrong with
    all.
    """
    progress = console.progress(setup.run.options.output)
    attempts = Attempts(setup.run.keep_going, lambda err: console.error(str(err), err.hint))
    with run_cache(setup.cache) as cache:
        jobs = jobs_of(wanted, replace(setup, cache=cache), attempts)
        done = run_all(jobs, setup.clients, attempts, progress, cache)
    return tuple(
        Outcome(name, one.document if one else None, attempts.errors.get(name), one)
        for name, one in ((each.name, done.get(each.name)) for each in wanted)
        if one or name in attempts.errors
    )


@contextmanager
def planned_images(
    installables: tuple[str, ...],
    several: Several,
    options: PlanOptions,
    origin: OriginOptions = NO_ORIGIN,
    *,
    with_layers: bool = True,
) -> Iterator[dict[str, Prepared]]:
    """What `build --all` or `--image` would make, by name; one that fails ends it.

    Without layers, what `layers` of the settings names is not read.
    """
    run = Run(options, NOT_PUSHED, PlatformOptions(None), NO_CACHE, origin=origin)
    setup, progress, asked = Setup.of(run), console.progress(options.output), []
    if setup.systems:
        raise ConfigError("cannot plan for several systems at once", hint="name one: --system")
    for each in wanted_images(installables, several, setup):
        with naming(each.name):
            spec, own = each.settings.spec, registry_for_build(options, each.settings.spec)
            hints = read_hints(spec, own) if with_layers else None
            base = setup.base_of(each.settings, own)
            names_of = each.names_of
            asked.append(Asked(each.name, spec, each.named, names_of, hints, base, each.package))
    attempts = Attempts(keep_going=False, say=lambda _: None)
    with planned(asked, setup.client, attempts, progress, with_layers=with_layers) as parts:
        yield {name: one.prepared for name, (one,) in parts.items()}


def jobs_of(wanted: Sequence[Wanted], setup: Setup, attempts: Attempts) -> list[Job[Delivered]]:
    """What is to be done for each image, without those of which that is an error already."""
    found: list[Job[Delivered]] = []
    for each in wanted:
        path = _path(each.name, setup)
        order = partial(Order.of, each.named, each.settings, setup, path, says=not found)
        if one := attempts.run(each.name, order):
            known = (each.names_of, one.hints, one.open_base, each.package)
            begin = partial(_begun, one)
            found.append(Job(each.name, one.spec, one.named, *known, one.target, begin))
    return found


def _begun(
    order: Order, names: Sequence[Reference], before: Sequence[Repository]
) -> Callable[[MakeAll], Delivered]:
    delivery = prepared_delivery(names, order, before)
    return lambda make: deliver(make, order, delivery)


def _path(name: str, setup: Setup) -> str | None:
    """Where an image is written: in the directory that was named, else here unless it is sent."""
    archive = setup.output_format == "archive"
    if directory := setup.run.files.output:
        return os.path.join(directory, f"{name}.tar" if archive else name)
    if setup.engine or setup.push:
        return None
    return f"{name}.tar" if archive else f"{name}.oci"
