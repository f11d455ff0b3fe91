"""The pipeline, spelled out once: packages -> outputs -> closure -> plan -> layers -> image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import merge
from typing import Protocol

from nix2oci import describe
from nix2oci.cache import Cache
from nix2oci.cache.bound import prune
from nix2oci.cache.layers import Wanted, write_missing
from nix2oci.config import ImageSpec
from nix2oci.describe import Decided
from nix2oci.errors import ConfigError, LayoutError, RepresentationError
from nix2oci.nix.cli import Built, Nix, Package
from nix2oci.nix.closure import Closure, PathInfo, StorePath
from nix2oci.nix.installable import Installable
from nix2oci.nix.notes import Notes
from nix2oci.nix.remote import known_outputs, remote_closure, remote_store
from nix2oci.nix.scan import scan
from nix2oci.nix.store import LocalStore, Store, store_layer
from nix2oci.nix.survey import is_program, survey
from nix2oci.oci.layer import Layer, compressor_version
from nix2oci.oci.layout import Image, Staging
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import (
    STORE_PATHS,
    Descriptor,
    Digest,
    ImageConfig,
    Platform,
    store_paths_digest,
)
from nix2oci.oci.validate import check_written
from nix2oci.oci.workers import Unwritten
from nix2oci.plan.layering import LayerPlan, Plan, plan_layers, store_layers
from nix2oci.plan.record import annotations_of
from nix2oci.plan.shell import (
    Launchers,
    Mode,
    Scan,
    Shells,
    decide,
    make_launchers,
    no_launchers,
    untouched,
    with_launchers,
)
from nix2oci.plan.tree import Entry, File, Tree, sort_key
from nix2oci.plan.view import CA_BUNDLE, Survey, view
from nix2oci.templates import launcher_template
from nix2oci.twin import (
    Tools,
    Twin,
    debug_name,
    debug_tools,
    with_tools,
    write_tools,
)


class Progress(Protocol):
    """Told what goes on; says nothing, prints lines or draws bars."""

    def step(self, text: str) -> None:
        """A new part of the work begins."""

    def bytes(self, text: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A part of the work that handles about `total` bytes, told as they are done."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an image goes and what the machine around it decides.

    No digest depends on `cores`, or on what `cache` holds.
    """

    open: Callable[[Reference], AbstractContextManager[Staging]]
    created: Callable[[int | None], datetime]
    """The image's time, from the flake's `lastModified` when it has one that can be trusted."""
    cores: int
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """All that is decided before a byte is written. The store must be held while it is used."""

    built: tuple[Built, ...]
    """What Nix made of each installable, in their order."""
    shells: Shells
    plan: Plan
    survey: Survey
    view: Tree
    store: Store
    """Where the bytes of the store paths come from."""
    notes: Notes
    """What was found in files on the way."""

    @property
    def closure(self) -> Closure:
        """What the image holds: the closure of the outputs, less what was dropped."""
        return self.shells.closure

    @property
    def package(self) -> Package:
        """The first installable's: it names the image."""
        return self.built[0].package


@dataclass(frozen=True, slots=True)
class WrittenImage:
    """An image that is at its destination, and what went into it."""

    decided: Decided
    image: Image
    planned: Planned
    layers: tuple[Layer, ...]
    compressor: str
    twin: Twin | None = None


@contextmanager
def planned(
    nix: Nix,
    packages: Sequence[Package],
    spec: ImageSpec,
    progress: Progress,
    cache: Cache | None = None,
) -> Iterator[Planned]:
    """Build with Nix what was evaluated, then decide everything; outputs are held until the end.

    The cache is read, not written. Raises what goes wrong on the way: `NixError`, `StoreError`,
    `ConfigError`, `ConflictError`.
    """
    notes = Notes(cache.facts if cache else None)
    with _closure(nix, packages, progress) as (built, closure, store):
        found = survey(closure, store.root, notes, store.fetch)
        progress.step("looking for wrappers, and for what else needs a shell")
        shells = untouched(closure)
        if spec.shell is not Mode.KEEP:
            programs = [program.target for program in found.programs]
            scanned = scan(closure, programs, store.root, notes, store.fetch)
            shells = _shells(closure, found, spec, built[0].package.system, scanned)
        if shells.dropped:
            found = survey(shells.closure, store.root, notes, store.fetch)
        plan = plan_layers(shells.closure, store_layers(spec.max_layers))
        tree = with_launchers(view(found, spec.view, spec.users, spec.groups), shells)
        yield Planned(built, shells, plan, found, tree, store, notes)


@contextmanager
def _closure(
    nix: Nix, packages: Sequence[Package], progress: Progress
) -> Iterator[tuple[tuple[Built, ...], Closure, Store]]:
    """The closure of packages and the store that has it: the one here, or the origin."""
    if nix.origin is None:
        progress.step("building with Nix")
        with nix.build(packages) as built:
            yield built, nix.closure(_roots(built)), LocalStore(nix.physical())
        return
    progress.step(f"asking {nix.origin} for the closure")
    built = known_outputs(nix, packages)
    closure = remote_closure(nix, nix.origin, _roots(built))
    with remote_store(nix, nix.origin, closure) as store:
        with progress.bytes("looking through the store paths", closure.nar_size) as told:
            store.outline.draw(told)
        yield built, closure, store


def _roots(built: Sequence[Built]) -> list[StorePath]:
    return [root for each in built for root in each.roots]


def _shells(closure: Closure, found: Survey, spec: ImageSpec, system: str, scanned: Scan) -> Shells:
    """What is replaced and dropped, so that the image needs no shell."""
    launchers = _launchers(scanned, system.partition("-")[0])
    wanted = describe.wanted_paths(spec, found, closure, scanned.shells)
    return decide(closure, scanned, launchers, spec.shell, wanted)


def _launchers(scanned: Scan, machine: str) -> Launchers:
    try:
        return make_launchers(scanned, machine, launcher_template(machine))
    except RepresentationError as err:
        return no_launchers(scanned, str(err))
    except FileNotFoundError:
        return no_launchers(scanned, "this nix2oci was not built, so it has no launchers")


def build(
    nix: Nix,
    packages: Sequence[Package],
    spec: ImageSpec,
    destination: Destination,
    progress: Progress,
) -> WrittenImage:
    """Build one image of evaluated packages and put it at its destination, all or nothing."""
    with (
        planned(nix, packages, spec, progress, destination.cache) as what,
        _tools(nix, packages[0].installable, spec, what, progress) as tools,
    ):
        decided = _decide(what, spec, destination)
        twin_name = debug_name(decided.name, len(what.plan.layers) + 1) if tools else None
        with destination.open(decided.name) as staging:
            layers = _write(what, spec, staging, destination, progress)
            config, described = _documents(what, spec, decided, layers)
            notes = {**annotations_of(what.shells), **decided.annotations}
            image = Image.of(config, described, notes)
            images, twin = [(image, decided.name)], None
            if tools and twin_name:
                top = write_tools(tools, spec.compression, staging)
                twin_image = with_tools(config, described, notes, tools, top)
                twin = Twin(twin_name, twin_image, top, tools)
                images.append((twin_image, twin_name))
            for each, _ in images:
                _check(staging, each)
            staging.finish(images)
    return WrittenImage(decided, image, what, layers, compressor_version(spec.compression), twin)


def _tools(
    nix: Nix, main: Installable, spec: ImageSpec, what: Planned, progress: Progress
) -> AbstractContextManager[Tools | None]:
    """The tools of the debug twin, None where there is to be none."""
    if not spec.debug:
        return nullcontext()
    progress.step("building the tools of the debug twin")
    return debug_tools(nix, spec.debug_tools, main, what.package.system, what.closure)


def _decide(what: Planned, spec: ImageSpec, destination: Destination) -> Decided:
    name = describe.image_name(spec, what.package)
    command = describe.entrypoint(spec, what.built[0], what.survey)
    _check_program(what, command[0])
    created = destination.created(what.package.last_modified)
    notes = describe.manifest_annotations(spec, what.package, name, created)
    return Decided(name, command, created, notes)


def _check_program(what: Planned, path: str) -> None:
    """Raise `ConfigError` for an entrypoint in the store that is not there or cannot be run."""
    in_store = path.startswith(what.closure.store_dir + "/")
    if in_store and not is_program(what.closure, path, what.store.root):
        raise ConfigError(
            f"cannot use entrypoint {path}: it is not an executable file in the closure"
        )


def _write(
    what: Planned, spec: ImageSpec, blobs: Staging, destination: Destination, progress: Progress
) -> tuple[Layer, ...]:
    wanted = [_wanted(layer, what) for layer in what.plan.layers]
    if spec.max_layers == 1:
        (only,) = wanted
        mixed = _laid_over(only.unwritten.entries, what.view)
        wanted = [replace(only, unwritten=Unwritten(mixed, only.unwritten.weight), contents=None)]
    else:
        wanted.append(Wanted(Unwritten(what.view, 0)))

    def writing(made: int, weight: int) -> AbstractContextManager[Callable[[int], None]]:
        if made < len(wanted):
            progress.step(f"{len(wanted) - made} of {len(wanted)} layers are in the cache")
        return progress.bytes("writing layers", weight)

    cache, cores = destination.cache, destination.cores
    layers, made = write_missing(cache, wanted, spec.compression, blobs, cores=cores, begin=writing)
    checked = {path for number in made for path in wanted[number].paths}
    what.notes.keep(lambda info: str(info.path) in checked or what.store.is_right(info))
    if cache and checked:
        prune(cache, wait=False)
    return layers


def _wanted(layer: LayerPlan, what: Planned) -> Wanted:
    infos = [what.closure.infos[path] for path in layer.paths]
    unwritten = Unwritten(store_layer(infos, what.store), layer.nar_size)
    return Wanted(unwritten, _contents(infos), tuple(map(str, layer.paths)))


def _contents(infos: Iterable[PathInfo]) -> Digest:
    return store_paths_digest({str(info.path): info.nar_hash for info in infos})


def _laid_over(entries: Iterable[Entry], view: Tree) -> Iterator[Entry]:
    """Store and view as one: what both have, replaced wrappers above all, is the view's."""
    for entry in merge(entries, view, key=lambda entry: sort_key(entry.path)):
        mine = view.get(entry.path)
        if mine is None or mine is entry:
            yield entry
        elif isinstance(entry, File):
            for _ in entry.chunks:  # it counts for the NAR hash all the same
                pass


def _documents(
    what: Planned, spec: ImageSpec, decided: Decided, layers: tuple[Layer, ...]
) -> tuple[ImageConfig, tuple[Descriptor, ...]]:
    """The image's configuration, and its layers as the manifest has them, base layer first."""
    contents: list[LayerPlan | None] = [*what.plan.layers, None][: len(layers)]
    config = describe.image_config(
        spec,
        decided,
        [
            (layer.diff_id, describe.layer_history(plan, len(what.shells.launchers)))
            for layer, plan in zip(layers, contents, strict=True)
        ],
        platform=Platform.of_system(what.package.system),
        certificates=what.view.get(CA_BUNDLE[1:].encode()) is not None,
    )
    changed = spec.max_layers == 1 and bool(what.shells.launchers)
    infos = {} if changed else what.closure.infos
    described = (_descriptor(*pair, infos) for pair in zip(layers, contents, strict=True))
    return config, tuple(described)


def _check(staging: Staging, image: Image) -> None:
    """The cheap part of `nix2oci validate`, before anybody can see the image."""
    for finding in check_written(staging.source(image)):
        if finding.level == "error":
            raise LayoutError(f"cannot publish the image that was built: {finding}")


def _descriptor(
    layer: Layer, plan: LayerPlan | None, infos: Mapping[StorePath, PathInfo]
) -> Descriptor:
    """A layer's descriptor; a store layer's says what is in it, for whoever has the same paths.

    Without infos it says nothing: a store path in which a wrapper was replaced is another one.
    """
    described = {}
    if plan and infos:
        described = {STORE_PATHS: str(_contents(infos[path] for path in plan.paths))}
    return Descriptor(layer.media_type, layer.digest, layer.size, described)
