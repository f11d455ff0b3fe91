"""What is known of images that are to be built, before Nix is asked about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from nix2oci.cache.directory import Cache
from nix2oci.cli import context
from nix2oci.cli.steps.base_image import locate_base
from nix2oci.cli.steps.cache import cache_for_build
from nix2oci.cli.steps.engine import choose_engine
from nix2oci.cli.steps.evaluate import explained_as, keep_answers, nix_client
from nix2oci.cli.steps.read_hints import read_hints
from nix2oci.cli.steps.read_spec import check_spec
from nix2oci.config.image_settings import Settings
from nix2oci.config.image_spec import ImageSpec
from nix2oci.config.options.files import Format
from nix2oci.config.options.plan import PlanOptions
from nix2oci.config.options.push import VARIABLE
from nix2oci.config.options.run import NO_TRUST, Run
from nix2oci.errors import ConfigError
from nix2oci.nix.client import NixClient
from nix2oci.nix.installable import Installable
from nix2oci.publish.output_place import check_place, chosen_format
from nix2oci.publish.push_target import check_named, push_target
from nix2oci.publish.registry_options import registry_for_build
from nix2oci.publish.write_file import check_directory, check_writable

if TYPE_CHECKING:
    from datetime import datetime

    from nix2oci.cli.steps.signing_key import ToAttach
    from nix2oci.oci.engines import Engine
    from nix2oci.pipeline.destination import DescribeContents
    from nix2oci.pipeline.on_base import Opener
    from nix2oci.plan.layers.layering import LayerHints
    from nix2oci.publish.image_target import ImageTarget, PushTarget

OpenBase = Callable[[], "AbstractContextManager[Opener]"]


class Setup(Struct, frozen=True):
    """What a run means here: all that its images have in common."""

    run: Run
    client: NixClient
    systems: tuple[str, ...]
    """Those to evaluate for; none is the one that Nix takes by itself."""
    engine: Engine | None
    push: PushTarget | None
    output_format: Format
    cache: Cache | None
    bases: dict[tuple[str | None, str | None], OpenBase] = field(default_factory=dict)
    """What opens each base image, by its name and lock: images that have the same share it."""
    began: datetime | None = None
    """Where the provenance is to say it."""

    @classmethod
    def of(cls, run: Run, *, several: bool = False) -> Setup:
        """Of several images, each goes into a directory or below a path that was named.

        Raises `ConfigError` for what does not go together, and what opening an engine raises.
        """
        run.check_given(several=several)
        files, nix, output = run.files, run.options.nix, run.options.output
        engine = choose_engine(run.load, files, output, pushed=bool(run.push.push))
        check_writable(*(files.metadata, files.image_refs, files.provenance), after=files.output)
        if files.github:
            from nix2oci.cli.steps.github_job import check_job  # only jobs are told

            check_job()
        began = context.now() if files.provenance_times else None
        check_directory(files.sbom_dir)
        prefix = context.environment().get(VARIABLE, "")
        push = push_target(run.push, files, prefix, loaded=engine is not None, several=several)
        if several and files.output == "-":
            raise ConfigError("cannot write several images to stdout", hint="use -o DIRECTORY")
        if several and files.provenance:
            raise ConfigError("cannot write the provenance of several images into one file")
        by_suffix = None if several else files.output
        on_terminal = context.width() is not None
        output_format = chosen_format(by_suffix, files.output_format, on_terminal=on_terminal)
        systems = run.platforms.systems(nix.system)
        nix = replace(nix, system=None) if systems else nix
        client = nix_client(nix, output, run.origin, run.given)
        cache = cache_for_build(run.cache, output)
        if not (run.origin.url or run.given.closure):
            keep_answers(client, cache, output)
        return cls(run, client, systems, engine, push, output_format, cache, began=began)

    def base_of(
        self, settings: Settings, options: PlanOptions, *, write_lock: bool = False
    ) -> OpenBase:
        """What opens the base image of an image; raises as `locate_base`."""
        key, refresh = (settings.spec.base, settings.lock), self.run.refresh_base
        if key not in self.bases:
            self.bases[key] = locate_base(
                settings, options, write_lock=write_lock, refresh=refresh, cache=self.cache
            )
        return self.bases[key]

    @property
    def clients(self) -> list[NixClient]:
        """Nix as it evaluates for each platform."""
        return [self.client.for_system(each) for each in self.systems] or [self.client]


def _attaching(run: Run, settings: Settings, setup: Setup, path: str | None) -> ToAttach | None:
    """What goes with an image beside its bytes; None for nothing, as for most."""
    if run.trust == NO_TRUST and settings.spec.trust is None:
        return None
    from nix2oci.cli.steps.signing_key import to_attach  # few images have anything
    from nix2oci.config.what_to_attach import Attaching

    is_written = path is not None or not (setup.engine or setup.push)
    found = to_attach(
        run.trust.attaching,
        settings.spec.trust or Attaching(),
        pushed=setup.push is not None,
        in_layout=is_written and setup.output_format == "oci",
    )
    return found or None


class Order(Struct, frozen=True):
    """An image that is wanted: what it is, and where it goes."""

    named: tuple[Installable, ...]
    """The first one names it, and starts it."""
    settings: Settings
    setup: Setup
    path: str | None
    """Where it is written, as far as that was said."""
    in_git: bool
    options: PlanOptions
    hints: LayerHints | None
    open_base: OpenBase
    attaching: ToAttach | None = None
    """What goes with it beside its bytes."""

    @classmethod
    def of(
        cls,
        named: Sequence[Installable],
        settings: Settings,
        setup: Setup,
        path: str | None,
        *,
        says: bool = True,
    ) -> Order:
        """Raises what is wrong with an image that could only be said after an hour of building.

        `says` is whether what is true of any image is said.
        """
        run, spec, output = setup.run, settings.spec, setup.run.options.output
        check_spec(spec, setup.output_format, replace(output, quiet=output.quiet or not says))
        written = not (setup.engine or setup.push)
        files = run.files if run.files.output else replace(run.files, output=path)
        place = (files, setup.output_format, named, settings)
        in_git = check_place(*place, written=written, env=context.environment())
        check_named(setup.push, spec.name)
        if setup.engine:
            from nix2oci.publish.image_target import check_engine  # loaded when used

            check_engine(setup.engine, spec, setup.systems)
        options = registry_for_build(run.options, spec, setup.push)
        hints = read_hints(spec, options)
        base = setup.base_of(settings, options, write_lock=True)
        known = (settings, setup, path, in_git, options, hints, base)
        return cls(tuple(named), *known, _attaching(run, settings, setup, path))

    @property
    def spec(self) -> ImageSpec:
        return self.settings.spec

    @property
    def explained_as(self) -> str:
        """What `nix2oci why` takes for it."""
        return explained_as(self.named[0].text, self.options.nix, self.setup.run.given)

    @property
    def describes(self) -> bool:
        """Whether there is to be a bill of materials."""
        has_sbom = self.attaching is not None and self.attaching.has_sbom
        return has_sbom or self.setup.run.files.sbom_dir is not None

    @property
    def contents(self) -> DescribeContents | None:
        """What makes the document of the contents, where there is to be one."""
        if self.attaching is None or not self.attaching.has_contents:
            return None
        from nix2oci.publish.contents import describe_contents  # few images have one

        return describe_contents

    @property
    def target(self) -> ImageTarget:
        from nix2oci.publish.image_target import ImageTarget  # Nix is at work when it is loaded

        setup, stdout = self.setup, context.standard_output()
        engine, push = setup.engine, setup.push
        output_format = setup.output_format
        return ImageTarget(self.path, output_format, stdout, engine, push, in_git=self.in_git)
