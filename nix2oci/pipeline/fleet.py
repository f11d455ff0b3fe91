"""Several images in one run: built and held together, and planned by what they have in common.

Each image is decided by its own closure, as if it were alone, so that all but its layers are the
same; but no store path is read twice to decide, and no layer is made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from nix2oci.cache.directory import Cache
from nix2oci.config.image_spec import ImageSpec
from nix2oci.errors import BuildError, ConfigError, Nix2OCIError
from nix2oci.host.progress import SILENT, Progress
from nix2oci.host.scratch import temporary_directory
from nix2oci.host.sharing import on_all_cores
from nix2oci.nix.client import NixClient
from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.installable import Installable
from nix2oci.nix.package import Package
from nix2oci.oci.base_image import BaseImage
from nix2oci.oci.spec import Platform
from nix2oci.pipeline.attempts import Attempts, naming
from nix2oci.pipeline.build import WrittenImage, write
from nix2oci.pipeline.debug_twin import ToolSet, debug_tools
from nix2oci.pipeline.describe import entrypoint
from nix2oci.pipeline.destination import Destination
from nix2oci.pipeline.held import Held, hold
from nix2oci.pipeline.on_base import LOCAL, Opener, open_base
from nix2oci.pipeline.platforms import Evaluated, Make
from nix2oci.pipeline.prepare import decided, own_closure, own_layers, planned
from nix2oci.pipeline.prepared import Prepared
from nix2oci.plan.layers.fleet import build_popularity, plans
from nix2oci.plan.layers.layering import LayerHints, store_layers
from nix2oci.plan.layers.popularity import Popularity

T = TypeVar("T")

_NO_LIMIT = 1 << 62
"""Bytes of a cache that is gone when the run ends."""


class Member(Struct, frozen=True):
    """An image of a run, evaluated."""

    name: str
    spec: ImageSpec
    builds: tuple[Evaluated, ...]
    """For each platform; all images have the same platforms, in one order."""
    names_of: Installable
    """The flake whose inputs names mean in its settings."""
    hints: LayerHints | None = None
    opener: Opener = LOCAL

    def packages(self, number: int) -> Sequence[Package]:
        """Those of one platform."""
        return self.builds[number][1]


class Part(Struct, frozen=True):
    """The image of a member for one platform, decided."""

    nix: NixClient
    names_of: Installable
    prepared: Prepared


Parts = dict[str, tuple[Part, ...]]
"""By the name of the member, in their order; for each platform."""


@contextmanager
def run_cache(cache: Cache | None) -> Iterator[Cache]:
    """The cache, or one for this run alone: in it every layer is made once."""
    if cache:
        yield cache
        return
    with temporary_directory() as directory:
        yield Cache(directory, _NO_LIMIT)


@contextmanager
def decided_fleet(
    members: Sequence[Member], attempts: Attempts, progress: Progress, cache: Cache
) -> Iterator[Parts]:
    """Build members with Nix and decide all but their layers; held until the block ends.

    Those that failed are left out. Raises what goes wrong with one of them, which it names, unless
    the run is to keep going.
    """
    with ExitStack() as stack:
        bases = _bases(members, attempts, progress)
        notes = FactCache(cache.facts)
        held = _Holding(attempts, progress, notes, stack).all_platforms(members)

        def decide(member: Member) -> tuple[Part, ...]:
            count(1)

            def warn(line: str) -> None:
                progress.step(f"{member.name}: {line}")

            return tuple(
                Part(nix, member.names_of, decided(one, member.spec, base, SILENT, warn))
                for (nix, _), one, base in zip(
                    member.builds, held[member.name], bases[member.name], strict=True
                )
            )

        what = "looking for wrappers, and for what else needs a shell"
        with progress.steps(what, len(members)) as count:
            parts = _each(members, attempts, decide)
        yield parts


def with_program(parts: Parts, unnamed: Collection[str], progress: Progress) -> Parts:
    """The parts without those `unnamed` ones that have nothing to start, of which it is said."""
    kept = {}
    for name, each in parts.items():
        try:
            for part in each if name in unnamed else ():
                found = part.prepared
                entrypoint(found.spec, found.built[0], found.survey)
        except ConfigError as err:
            progress.step(f"left out {name}: {err}")
        else:
            kept[name] = each
    if not kept and parts:
        raise ConfigError("cannot build --all: no package of the flake has a program to start")
    return kept


def planned_fleet(members: Sequence[Member], parts: Parts, progress: Progress) -> Parts:
    """The parts with their layers, by an index of all that are for the same platform.

    One image alone has the plan that it has without a run.
    """
    indexes: dict[tuple[int, str], Popularity] = {}

    def plan(member: Member, number: int, part: Part) -> Part:
        hints = member.hints or LayerHints()
        if len(parts) > 1:
            key = (number, hints.fleet.digest if hints.fleet else "")
            if key not in indexes:
                indexes[key] = index_of(parts, number, progress, hints.fleet)
            hints = replace(hints, fleet=indexes[key])
        return replace(part, prepared=planned(part.prepared, hints, SILENT))

    return {
        member.name: tuple(plan(member, *each) for each in enumerate(parts[member.name]))
        for member in members
        if member.name in parts
    }


def index_of(
    parts: Parts, number: int, progress: Progress, known: Popularity | None = None
) -> Popularity:
    """The popularity index of the images for one platform, with what is known of others."""
    prepared = [each[number].prepared for each in parts.values()]
    images = [(one, own) for one in prepared if (own := own_closure(one))]
    closures = [own for _, own in images]
    budgets = [store_layers(own_layers(one)) for one, _ in images]
    what = f"planning the layers of {len(images)} images"
    with progress.steps(what, plans(closures, budgets)) as count:
        run = partial(on_all_cores, purpose="plan layers")
        return build_popularity(closures, budgets, count, known, run)


# --- written one by one --------------------------------------------------------------------------


class ToolShed(Struct, frozen=True):
    """The tools of debug twins, which many images have in common; held as long as the stack."""

    stack: ExitStack
    progress: Progress
    _known: dict[tuple[str | None, str, str], ToolSet] = field(default_factory=dict)

    def of(self, part: Part, asked: str | None) -> ToolSet:
        """Those for an image; raises as `debug_tools`."""
        main, system = part.names_of, part.prepared.package.system
        key = (asked, main.flake_ref, system)
        if key not in self._known:
            self.progress.step("building the tools of the debug twins")
            found = debug_tools(part.nix, asked, main, system)
            self._known[key] = self.stack.enter_context(found)
        return self._known[key]


def makes_of(parts: Sequence[Part], tools: ToolShed, progress: Progress) -> list[Make]:
    """What writes the image of each platform."""

    def make(part: Part, destination: Destination) -> WrittenImage:
        if len(parts) > 1:
            progress.step(f"the image for {Platform.of_system(part.prepared.package.system)}")
        spec, closure = part.prepared.spec, part.prepared.closure
        beside = tools.of(part, spec.debug_tools).beside(closure) if spec.debug else None
        return write(part.nix, part.prepared, beside, destination, progress)

    return [partial(make, part) for part in parts]


# --- held together -------------------------------------------------------------------------------


def _each(
    members: Sequence[Member], attempts: Attempts, work: Callable[[Member], T]
) -> dict[str, T]:
    """What comes of the work for each member that has not failed, and does not."""
    left = [each for each in members if each.name not in attempts.errors]
    found = {each.name: attempts.run(each.name, partial(work, each)) for each in left}
    return {name: one for name, one in found.items() if one is not None}


def _bases(
    members: Sequence[Member], attempts: Attempts, progress: Progress
) -> dict[str, tuple[BaseImage | None, ...]]:
    """The base image of each member for each platform, read once for all that have it."""
    known: dict[tuple[str, str], BaseImage] = {}
    said: set[str] = set()

    def read(member: Member) -> tuple[BaseImage | None, ...]:
        spec = member.spec
        if spec.base and spec.base not in said:
            progress.step(f"reading base image {spec.base}")
            said.add(spec.base)
        systems = [packages[0].system for _, packages in member.builds]
        return tuple(open_base(spec, system, member.opener, known) for system in systems)

    return _each(members, attempts, read)


class _Holding(Struct, frozen=True):
    """What holds the store paths of a run, as long as the stack."""

    attempts: Attempts
    progress: Progress
    notes: FactCache
    stack: ExitStack

    def all_platforms(self, members: Sequence[Member]) -> dict[str, list[Held]]:
        """What Nix made of each member for each platform, by one build for all of a platform."""
        found: dict[str, list[Held]] = {each.name: [] for each in members}
        for number in range(len(members[0].builds) if members else 0):
            left = [each for each in members if each.name not in self.attempts.errors]
            for name, held in self._of_platform(left, number).items():
                found[name].append(held)
        return found

    def _of_platform(self, members: Sequence[Member], number: int) -> dict[str, Held]:
        if not members:
            return {}
        nix, _ = members[0].builds[number]
        packages = [package for each in members for package in each.packages(number)]
        everything = hold(nix, packages, self.progress, self.notes)
        try:
            held = self.stack.enter_context(everything)
        except Nix2OCIError as err:
            if not self.attempts.keep_going:
                _blame(members, number, err)
            # What could be built is built: each by itself tells whether it is, and why not.
            return _each(members, self.attempts, lambda each: self._alone(each, number))
        built = iter(held.built)
        return {
            each.name: held.of(tuple(next(built) for _ in each.packages(number)))
            for each in members
        }

    def _alone(self, member: Member, number: int) -> Held:
        nix, packages = member.builds[number]
        return self.stack.enter_context(hold(nix, packages, SILENT, self.notes.shared()))


def _blame(members: Sequence[Member], number: int, err: Nix2OCIError) -> None:
    """Raise the error of a build of all for the first member that Nix says it is about."""
    if not isinstance(err, BuildError):
        return
    for each in members:
        packages = each.packages(number)
        wanted = {t.path for one in packages for t in (*one.wanted, *one.program_wanted)}
        if wanted & err.failed:
            what = f"cannot build '{packages[0].installable.text}': {err.cause}"
            with naming(each.name):
                raise BuildError(what, hint=err.hint) from err
