"""The pipeline, spelled out once: installables -> outputs -> closure -> plan -> layers -> image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from typing import Protocol

from nix2oci import describe
from nix2oci.config import ImageSpec
from nix2oci.describe import Decided
from nix2oci.errors import ConfigError, LayoutError
from nix2oci.nix.cli import Built, Nix, Package
from nix2oci.nix.closure import Closure
from nix2oci.nix.installable import Installable
from nix2oci.nix.store import store_entries
from nix2oci.nix.survey import is_program, survey
from nix2oci.oci.layer import Blobs, Layer, Unwritten, compressor_version, write_layers
from nix2oci.oci.layout import Image, Staging
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import STORE_PATHS, Descriptor, Platform, store_paths_digest
from nix2oci.oci.validate import check_written
from nix2oci.plan.layering import LayerPlan, Plan, plan_layers, store_layers
from nix2oci.plan.tree import Directory, Entry, Tree, parents, sort_key
from nix2oci.plan.view import CA_BUNDLE, Survey, view


class Progress(Protocol):
    """Told what goes on; says nothing, prints lines or draws bars."""

    def step(self, text: str) -> None:
        """A new part of the work begins."""

    def bytes(self, text: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A part of the work that handles about `total` bytes, told as they are done."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an image goes and what the machine around it decides; no digest depends on `cores`."""

    open: Callable[[Reference], AbstractContextManager[Staging]]
    created: Callable[[int | None], datetime]
    """The image's time, from the flake's `lastModified` when it has one that can be trusted."""
    cores: int


@dataclass(frozen=True, slots=True)
class Planned:
    """All that is decided before a byte is written. The store must be held while it is used."""

    built: tuple[Built, ...]
    """What Nix made of each installable, in their order."""
    closure: Closure
    plan: Plan
    survey: Survey
    view: Tree
    physical_root: str
    """Where the bytes of the store lie: `physical_root` + store path."""

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


@contextmanager
def planned(
    nix: Nix, installables: tuple[Installable, ...], spec: ImageSpec, progress: Progress
) -> Iterator[Planned]:
    """Evaluate and build with Nix, then decide everything; outputs are held until the block ends.

    Raises what goes wrong on the way: `NixError`, `StoreError`, `ConfigError`, `ConflictError`.
    """
    progress.step(f"evaluating {', '.join(item.text for item in installables)}")
    packages = tuple(nix.evaluate(item) for item in installables)
    progress.step("building with Nix")
    with nix.build(packages) as built:
        closure = nix.closure([root for each in built for root in each.roots])
        plan = plan_layers(closure, store_layers(spec.max_layers))
        found = survey(closure, nix.physical())
        tree = view(found, spec.view, spec.users, spec.groups)
        yield Planned(built, closure, plan, found, tree, nix.physical())


def build(
    nix: Nix,
    installables: tuple[Installable, ...],
    spec: ImageSpec,
    destination: Destination,
    progress: Progress,
) -> WrittenImage:
    """Build one image from flake outputs and put it at its destination, all or nothing."""
    with planned(nix, installables, spec, progress) as what:
        decided = _decide(what, spec, destination)
        with destination.open(decided.name) as staging:
            layers = _write(what, spec, staging, destination.cores, progress)
            image = _image(what, spec, decided, layers)
            _check(staging, image)
            staging.finish(image, decided.name)
    return WrittenImage(decided, image, what, layers, compressor_version(spec.compression))


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
    if in_store and not is_program(what.closure, path, what.physical_root):
        raise ConfigError(
            f"cannot use entrypoint {path}: it is not an executable file in the closure"
        )


def _write(
    what: Planned, spec: ImageSpec, blobs: Blobs, cores: int, progress: Progress
) -> tuple[Layer, ...]:
    layers = [Unwritten(_store_layer(layer, what), layer.nar_size) for layer in what.plan.layers]
    if spec.max_layers == 1:
        (only,) = layers
        both = merge(only.entries, what.view, key=lambda entry: sort_key(entry.path))
        layers = [Unwritten(both, only.weight)]
    else:
        layers.append(Unwritten(what.view, 0))
    with progress.bytes("writing layers", what.closure.nar_size) as done:
        return write_layers(layers, spec.compression, blobs, cores, done)


def _store_layer(layer: LayerPlan, what: Planned) -> Iterator[Entry]:
    """The entries of a store layer: a function of its store paths alone.

    `nix/` and `nix/store/` come first in each, alike and writable for their owner, since some
    unpackers make what is missing unreadable (nix2container#12) and cannot write into 0555.
    """
    store_dir = layer.paths[0].store_dir[1:].encode()
    for directory in reversed([store_dir, *parents(store_dir)]):
        yield Directory(directory, 0o755)
    for path in sorted(layer.paths, key=lambda path: path.base):
        yield from store_entries(what.closure.infos[path], what.physical_root)


def _image(what: Planned, spec: ImageSpec, decided: Decided, layers: tuple[Layer, ...]) -> Image:
    contents: list[LayerPlan | None] = [*what.plan.layers, None][: len(layers)]
    config = describe.image_config(
        spec,
        decided,
        [
            (layer.diff_id, describe.layer_history(plan))
            for layer, plan in zip(layers, contents, strict=True)
        ],
        platform=Platform.of_system(what.package.system),
        certificates=what.view.get(CA_BUNDLE[1:].encode()) is not None,
    )
    descriptors = (_descriptor(*pair, what.closure) for pair in zip(layers, contents, strict=True))
    return Image.of(config, tuple(descriptors), decided.annotations)


def _check(staging: Staging, image: Image) -> None:
    """The cheap part of `nix2oci validate`, before anybody can see the image."""
    for finding in check_written(staging.source(image)):
        if finding.level == "error":
            raise LayoutError(f"cannot publish the image that was built: {finding}")


def _descriptor(layer: Layer, plan: LayerPlan | None, closure: Closure) -> Descriptor:
    """A layer's descriptor; a store layer's says what is in it, for whoever has the same paths."""
    described = {}
    if plan:
        hashes = {str(path): closure.infos[path].nar_hash for path in plan.paths}
        described = {STORE_PATHS: str(store_paths_digest(hashes))}
    return Descriptor(layer.media_type, layer.digest, layer.size, described)
