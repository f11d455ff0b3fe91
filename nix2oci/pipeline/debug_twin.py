"""The debug twin of an image: the same layers, and one of tools on top.

Tools come from Nix like the image does, are held while they are read, and are checked by NAR hash.
What the layer holds is decided in `plan.debug_layer`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import ConfigError, NixError
from nix2oci.host.progress import SILENT
from nix2oci.model.closure import Closure, PathInfo
from nix2oci.model.tree import Entry, Tree
from nix2oci.nix.client import NixClient
from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.flake_inputs import as_locked, nixpkgs_input
from nix2oci.nix.installable import Installable
from nix2oci.nix.package import Package
from nix2oci.nix.signatures import closure_with_signatures
from nix2oci.nix.store import Store, store_layer
from nix2oci.nix.tools import programs, read_file
from nix2oci.oci.layer.blob import Layer
from nix2oci.oci.layer.compression import Compression
from nix2oci.oci.layer.workers import Blobs, LayerJob, write_layers
from nix2oci.oci.layout.writer import Image
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import MAX_LAYERS, Descriptor, History, ImageConfig
from nix2oci.pipeline.held import hold, local_store
from nix2oci.plan.debug_layer import (
    BUSYBOX,
    SUFFIX,
    TOOLS,
    missing_paths,
    tools_tree,
    with_tools_in_path,
)

_NAME_THEM = "name some with --debug-tools, such as --debug-tools nixpkgs#busybox"


class Tools(Struct, frozen=True):
    """What the twin has more than the image. The store must be held while it is used."""

    package: Package
    tree: Tree
    """`/busybox`."""
    paths: tuple[PathInfo, ...]
    """What the tools need of the store and the image lacks."""
    store: Store
    outputs: tuple[PathInfo, ...] = ()
    """What they are of; the image may have copies of files of these alone."""

    def entries(self) -> Iterator[Entry]:
        """Those of the layer; `busybox` comes before `nix`."""
        yield from self.tree
        yield from store_layer(self.paths, self.store)

    @property
    def title(self) -> str:
        return "-".join(filter(None, (self.package.name, self.package.version)))


class Twin(Struct, frozen=True):
    """A debug twin that was written, and what is in its own layer."""

    names: tuple[Reference, ...]
    image: Image
    layer: Layer
    tools: Tools

    @property
    def name(self) -> Reference:
        """The one that counts where there is room for one."""
        return self.names[0]


class ToolSet(Struct, frozen=True):
    """Tools for any image of a flake. The store must be held while they are used."""

    package: Package
    closure: Closure
    programs: Mapping[bytes, bytes]
    busybox: bytes
    tree: Tree
    store: Store

    def beside(self, image: Closure) -> Tools:
        """Those of the twin of one image."""
        missing = missing_paths(self.closure, self.programs, self.busybox, image)
        outputs = tuple(self.closure.infos[root] for root in self.closure.roots)
        return Tools(self.package, self.tree, missing, self.store, outputs)


@contextmanager
def debug_tools(
    nix: NixClient, asked: str | None, main: Installable, system: str
) -> Iterator[ToolSet]:
    """Build the tools, and hold them until the block ends.

    They are those of the installable that was asked for, else busybox of the nixpkgs that the
    flake of `main` uses, or of that flake where it has no such input. `system` is that of the
    image. Raises `ConfigError` when there is nothing to choose, or what there is has no program in
    bin/ or is for another system, and what goes wrong with Nix.
    """
    package = _evaluate(nix, asked, main, system)
    text = package.installable.text
    if package.installable.kind != "path" and package.system != system:
        raise ConfigError(
            f"cannot use debug tools '{text}': they are for {package.system}, "
            f"the image is for {system}"
        )
    with _held(nix, package) as (closure, store):
        found = programs(closure, store.root, case_hack=store.case_hack)
        if not found:
            raise ConfigError(
                f"cannot use debug tools '{text}': there is no program in bin/", hint=_NAME_THEM
            )
        busybox = read_file(closure, found[BUSYBOX], store) if BUSYBOX in found else b""
        tree = tools_tree(found, busybox, str(closure.roots[0]))
        yield ToolSet(package, closure, found, busybox, tree, store)


@contextmanager
def _held(nix: NixClient, package: Package) -> Iterator[tuple[Closure, Store]]:
    """What is built here, or comes from where the image's store paths do if there is no Nix."""
    if nix.sender is not None:
        with hold(nix, [package], SILENT, FactCache()) as held:
            yield held.closure, held.store
    else:
        with nix.build([package]) as (built,):
            yield closure_with_signatures(nix, built.roots), local_store(nix)


def _evaluate(nix: NixClient, asked: str | None, main: Installable, system: str) -> Package:
    if asked is not None:
        return nix.evaluate(as_locked(nix, nix.installable(asked), main))
    if main.kind != "flake":
        raise ConfigError(
            f"cannot choose debug tools: '{main.text}' is of no flake", hint=_NAME_THEM
        )
    flake = nixpkgs_input(nix.metadata(main)) or main.flake_ref
    wanted = nix.installable(f"{flake}#legacyPackages.{system}.busybox")
    try:
        return nix.evaluate(as_locked(nix, wanted, main))
    except NixError as err:
        raise NixError(f"cannot choose debug tools: {err}", hint=_NAME_THEM) from err


def debug_names(names: Sequence[Reference], layers: int) -> tuple[Reference, ...]:
    """The names of the twin of an image that has so many layers; `ConfigError` without room."""
    if layers >= MAX_LAYERS:
        raise ConfigError(
            f"cannot make a debug twin: it would have {layers + 1} layers, "
            f"more than the {MAX_LAYERS} that engines can mount",
            hint=f"use --max-layers {MAX_LAYERS - 1}",
        )
    return twin_names(names)


def twin_names(names: Sequence[Reference]) -> tuple[Reference, ...]:
    """One for each name of an image; `ConfigError` for one that the image has itself."""
    found = tuple(Reference.parse(f"{name}{SUFFIX}") for name in names)
    for name in found:
        if name in names:
            raise ConfigError(
                f"cannot make a debug twin: its name would be {name}, which the image has",
                hint=f"leave out the tag '{name.tag}'",
            )
    return found


def write_tools(tools: Tools, compression: Compression, blobs: Blobs) -> Layer:
    """Write the layer of the tools."""
    size = sum(info.nar_size for info in tools.paths)
    (layer,) = write_layers([LayerJob(tools.entries(), size)], compression, blobs, 1, forks=False)
    return layer


def with_tools(
    config: ImageConfig,
    layers: tuple[Descriptor, ...],
    annotations: Mapping[str, str],
    tools: Tools,
    top: Layer,
) -> Image:
    """The image of these documents with the tools on top; entrypoint and all else stay."""
    history = History("nix2oci", f"debug tools: {TOOLS}, of {tools.title}")
    config = replace(
        config,
        diff_ids=(*config.diff_ids, top.diff_id),
        history=(*config.history, history),
        env=with_tools_in_path(config.env),
    )
    added = Descriptor(top.media_type, top.digest, top.size, top.annotations)
    return Image.of(config, (*layers, added), annotations)
