"""`verify --rebuild`: an image is made again of what it says it is made of, and compared."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from nix2oci import __version__
from nix2oci.cli import context
from nix2oci.cli.render import console
from nix2oci.cli.steps.base_image import locate_base
from nix2oci.cli.steps.evaluate import evaluate, nix_client, parse_installables, preloading
from nix2oci.cli.steps.read_hints import read_hints
from nix2oci.cli.steps.read_image import reading_image
from nix2oci.cli.steps.read_spec import read_settings
from nix2oci.cli.steps.registry import open_in_registry
from nix2oci.compare.reasons import Origins, reasons
from nix2oci.compare.rebuilt_image import Rebuilt, as_it_is, compared
from nix2oci.config.flags import Given
from nix2oci.config.image_settings import Settings, settings_of
from nix2oci.config.image_spec import FILE_NAME, OLDEST
from nix2oci.config.keys import BY_FLAG
from nix2oci.config.options.image import ImageOptions
from nix2oci.config.options.plan import PlanOptions
from nix2oci.errors import ConfigError
from nix2oci.model.annotation_keys import CONTENTS
from nix2oci.nix.client import NixClient
from nix2oci.nix.flake_place import place_of
from nix2oci.nix.installable import Installable
from nix2oci.nix.locked_sources import locked_sources
from nix2oci.nix.options import values_of
from nix2oci.oci.index import images_at
from nix2oci.oci.layout.sink import hashing
from nix2oci.oci.layout.source import ImageSource, host_platform
from nix2oci.oci.spec import Platform
from nix2oci.pipeline.build import tools_of, write
from nix2oci.pipeline.destination import Destination
from nix2oci.pipeline.on_base import Opener
from nix2oci.pipeline.platforms import Evaluated
from nix2oci.pipeline.prepare import prepare
from nix2oci.plan.layers.layering import LayerHints
from nix2oci.publish.contents import describe_contents
from nix2oci.publish.registry_options import reading, registry_for_build
from nix2oci.trust.provenance_claims import Claims, NamedInstallable


class Told(Struct, frozen=True):
    """What became of one platform's image, and why it is not the same."""

    found: Rebuilt
    reasons: tuple[str, ...] = ()


def rebuild(
    image: str,
    installables: tuple[str, ...],
    claims: Claims | None,
    options: PlanOptions,
    platform: str | None = None,
) -> tuple[Told, ...]:
    """Each image that `image` stands for, made again of installables, or of what a provenance says.

    With a platform, the image for that alone.
    Raises `ConfigError` where neither says enough, and what goes wrong with image and Nix.
    """
    layout = open_in_registry(image, reading(options.registry, image), options.output)
    wanted = Platform.parse(platform) if platform else None
    found = images_at(image, layout).images
    images = [one for one in found if wanted is None or one.platform().fits(wanted)]
    options = _with_options(options, claims)
    client = nix_client(options.nix, options.output)
    named = _named(client, installables, claims, options)
    if pinned := _pinned(client, named[0], claims):
        options = _overriding(options, pinned)
        client = nix_client(options.nix, options.output)
    settings = _settings(client, named[0], claims, options)
    spec = settings.spec
    platforms = [one.platform() for one in images]
    systems = () if platforms == [host_platform()] else [each.system for each in platforms]
    with preloading(client, "nix2oci.pipeline.prepare"):
        builds = evaluate(client, systems, named, spec.added, options.output)
    own = registry_for_build(options, spec)
    run = _Run(image, settings, claims, named[0], read_hints(spec, own), options)
    with locate_base(settings, own)() as opener:
        return tuple(run.one(*each, opener) for each in zip(images, builds, strict=True))


class _Run(Struct, frozen=True):
    """What all platforms have in common."""

    image: str
    settings: Settings
    claims: Claims | None
    main: Installable
    hints: LayerHints | None
    options: PlanOptions

    def one(self, source: ImageSource, build: Evaluated, opener: Opener) -> Told:
        """The image of one platform, made again and compared."""
        nix, packages = build
        progress, output = console.progress(self.options.output), self.options.output
        created = _created(source)
        named = CONTENTS in source.manifest().annotations
        sink = Destination(
            *(lambda _: hashing(), lambda _: created, context.cores()),
            opener=opener,
            contents=describe_contents if named else None,
        )
        spec, hints = self.settings.spec, self.hints
        with ExitStack() as stack:
            ready = prepare(nix, packages, spec, progress, hints=hints, opener=opener)
            prepared, tools = stack.enter_context(ready), None
            if len(source.layers()) > prepared.layer_count:  # it may be the debug twin
                asked = tools_of(nix, self.main, spec, prepared, progress)
                tools = stack.enter_context(asked)
            written = write(nix, prepared, tools, sink, progress)
            registry = reading(self.options.registry, self.image)
            with reading_image(as_it_is(source), self.image, registry, output) as counted:
                found = compared(counted, written)
            if found.is_same:
                return Told(found)
            metadata = nix.metadata(self.main) if self.main.kind == "flake" else ""
            sources = locked_sources(metadata) if metadata else ()
            origins = Origins(self.claims, sources, __version__)
            return Told(found, tuple(reasons(source, found, written, origins)))


def _created(source: ImageSource) -> datetime:
    """The time of an image is what it says: nothing else can tell what a clock said."""
    text = source.config().created
    return datetime.fromisoformat(text).astimezone(UTC) if text else OLDEST


def _with_options(options: PlanOptions, claims: Claims | None) -> PlanOptions:
    """The options of Nix, with the overrides that a provenance names; no lock file is written.

    That evaluation saw more than its sources is for the user to allow again.
    """
    passed_on = (*options.nix.passed_on, "--no-write-lock-file")
    options = replace(options, nix=replace(options.nix, passed_on=passed_on))
    given = _overridden(options)
    wanted = [name for name in claims.external.overrides if name not in given] if claims else []
    known = {name: claims.source(f"flake: {name}").uri for name in wanted} if claims else {}
    for name, reference in known.items():
        if not reference:
            raise ConfigError(
                f"cannot rebuild: input '{name}' was replaced by what only one machine had",
                hint=f"name it: --override-input {name} FLAKE-REF",
            )
    return _overriding(options, known)


def _overridden(options: PlanOptions) -> set[str]:
    return {name for name, _ in values_of(options.nix.passed_on, "--override-input")}


def _overriding(options: PlanOptions, inputs: Mapping[str, str]) -> PlanOptions:
    """The same with references for some inputs of the flake, where the user gave none."""
    given = _overridden(options)
    added = [
        word
        for name, reference in inputs.items()
        if name not in given
        for word in ("--override-input", name, reference)
    ]
    passed_on = (*options.nix.passed_on, *added)
    return replace(options, nix=replace(options.nix, passed_on=passed_on))


def _pinned(client: NixClient, main: Installable, claims: Claims | None) -> dict[str, str]:
    """Inputs that the same flake is not locked to any more, with what they were.

    A flake whose files are the same has other inputs only where it has no lock file.
    """
    if claims is None or main.kind != "flake":
        return {}
    flake, *inputs = locked_sources(client.metadata(main))
    if not flake.nar_hash or flake.nar_hash != claims.source("flake").digest.get("narSha256"):
        return {}
    claimed = {each.name: claims.source(f"flake: {each.name}") for each in inputs}
    return {
        each.name: claimed[each.name].uri
        for each in inputs
        if "/" not in each.name
        and claimed[each.name].uri
        and claimed[each.name].digest.get("narSha256") != each.nar_hash
    }


def _named(
    client: NixClient, texts: Sequence[str], claims: Claims | None, options: PlanOptions
) -> list[Installable]:
    """The installables: those that were given, of which a provenance says the attributes."""
    if claims is None or len(texts) > 1 or options.nix.file is not None:
        if not texts and claims is None and options.nix.file is None:
            raise ConfigError(
                "cannot rebuild: no provenance says what of",
                hint="name the flake: nix2oci verify IMAGE INSTALLABLE --rebuild",
            )
        return parse_installables(client, texts, options.nix.file)
    flake = texts[0] if texts and "#" not in texts[0] else ""
    first, *more = claims.external.installables or (NamedInstallable(),)
    known = [first.text(flake), *(each.text("" if each.locked else flake) for each in more)]
    if texts and not flake:
        known[:1] = texts
    if not all(known):
        raise ConfigError(
            "cannot rebuild: the provenance is of a flake that only one machine had",
            hint="name the flake: nix2oci verify IMAGE FLAKE --rebuild",
        )
    return parse_installables(client, known, None)


def _settings(
    client: NixClient, main: Installable, claims: Claims | None, options: PlanOptions
) -> Settings:
    """What the image is to be: what a provenance says, under the flags that were given."""
    if claims is None:
        return read_settings(options.image, client, main, options.output)
    said, place = claims.external, place_of(client, main)
    file = said.configuration_file or FILE_NAME
    path = os.path.join(place.directory or ".", file) if said.configuration else None
    image = ImageOptions(None, _flags(options.image.flags, said.flags))
    return settings_of(said.configuration, image, (path, place), client, main)


def _flags(
    given: Mapping[str, Given], said: Mapping[str, str | bool | tuple[str, ...]]
) -> dict[str, Given]:
    if unknown := sorted(said.keys() - BY_FLAG.keys()):
        raise ConfigError(
            f"cannot rebuild by the provenance: this nix2oci has no flag '--{unknown[0]}'",
            hint="the version that made the image is below internalParameters",
        )
    return {**given, **{name: v for name, v in said.items() if given.get(name) in (None, ())}}
