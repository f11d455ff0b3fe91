"""What `diff` compares and `why` explains: an image, a recorded closure, or what would be built.

Each becomes the same values, so that any two can be compared; an image is read for what Nix would
have said of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from nix2oci.compare.chains import Graph
from nix2oci.compare.difference import Contents, Layer
from nix2oci.errors import ClosureError
from nix2oci.host.regular_files import open_file
from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.model.hash_parts import hash_parts
from nix2oci.model.package_name import PackageName
from nix2oci.nix.given import read_given
from nix2oci.nix.referring_files import Files
from nix2oci.oci.layer.file_scan import LayerNodes, Merged, merged, read_nodes
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.reference import SCHEME, in_registry
from nix2oci.oci.settings import settings
from nix2oci.oci.spec import Digest
from nix2oci.plan.layers.layering import Plan
from nix2oci.trust.kept_references import kept_references

if TYPE_CHECKING:
    from nix2oci.pipeline.prepared import Prepared

_PREFIXES = ("oci:", "oci-archive:", "docker-archive:", SCHEME)
_IN_STORE = re.compile(r"/[0-9a-df-np-sv-z]{32}-")
_REGISTRATION = re.compile(rb"/[^\n]*/[0-9a-df-np-sv-z]{32}-[^\n]+\n(?:sha256[:-]|[0-9a-f]{64}\n)")
"""How a registration begins, as closureInfo writes it: a store path, then its hash."""
_RUN = ("entrypoint", "cmd", "env ", "workdir")
"""Settings that a container uses, so that a store path that they name is there for them."""

_SIMILAR = 6


class InputKind(StrEnum):
    """What a name on the command line stands for."""

    IMAGE = "image"
    CLOSURE = "closure"
    INSTALLABLE = "installable"


def kind_of(text: str) -> InputKind:
    """By what is at a path, with or without a tag; by its name where nothing is there.

    An output of Nix is an installable, unless it is a layout or an archive. A name that begins
    with a registry is an image there.
    """
    if text.startswith(_PREFIXES):
        return InputKind.IMAGE
    path = next((p for p in (text, text.rpartition(":")[0]) if os.path.exists(p)), "")
    if os.path.isdir(path):
        names = ("oci-layout", "index.json")
        found = any(os.path.exists(os.path.join(path, name)) for name in names)
        return InputKind.IMAGE if found else InputKind.INSTALLABLE
    if os.path.isfile(path):
        return _kind_of_file(path)
    if text.endswith(".json"):
        return InputKind.CLOSURE
    is_image = text.endswith((".oci", ".tar")) or in_registry(text) is not None
    return InputKind.IMAGE if is_image else InputKind.INSTALLABLE


def _kind_of_file(path: str) -> InputKind:
    try:
        with open_file(path) as file:
            head = file.read(512)
    except OSError:
        return InputKind.IMAGE  # which says why it cannot be read
    is_json = path.endswith(".json") or head.lstrip().startswith((b"{", b"["))
    if is_json or _REGISTRATION.match(head):
        return InputKind.CLOSURE
    is_tar = head[257:262] == b"ustar" or head.startswith(b"\x1f\x8b")
    of_nix = _IN_STORE.search(os.path.realpath(path))
    return InputKind.INSTALLABLE if of_nix and not is_tar else InputKind.IMAGE


# --- what is in it -----------------------------------------------------------------------------


def image_contents(
    source: ImageSource, workers: int = 0, known: dict[Digest, LayerNodes] | None = None
) -> Contents:
    """The store paths, layers and settings of an image.

    What was found in each layer is added to `known`; a layer that is there is not read. Raises
    `OutputError` and `LayoutError` where the image cannot be read.
    """
    described = source.layers()
    known = {} if known is None else known
    missing = {each.digest: each for each in described if each.digest not in known}
    found = read_nodes(source, tuple(missing.values()), search=False, workers=workers)
    known |= zip(missing, found, strict=True)
    nodes = tuple(known[each.digest] for each in described)
    return contents_of(source, merged(nodes).sizes, [each.store_paths() for each in nodes])


def contents_of(
    source: ImageSource, sizes: Mapping[str, int], by_layer: Iterable[Collection[str]]
) -> Contents:
    """The same where it is known which store paths are in which layer."""
    parsed = {_parsed(path): size for path, size in sizes.items()}
    return Contents(parsed, _image_layers(source, by_layer), settings(source))


def _image_layers(source: ImageSource, by_layer: Iterable[Collection[str]]) -> tuple[Layer, ...]:
    """Each with the store paths that no layer below has."""
    described = source.layers()
    texts = [*map(str, source.config().diff_ids), *[""] * len(described)]
    layers: list[Layer] = []
    below: set[str] = set()
    seen: set[Digest] = set()
    for each, found, diff_id in zip(described, by_layer, texts, strict=False):
        own = set() if each.digest in seen else set(found) - below
        seen.add(each.digest)
        below |= own
        paths = tuple(sorted(map(_parsed, own)))
        layers.append(Layer(paths, each.size, str(each.digest), diff_id))
    return tuple(layers)


def closure_contents(closure: Closure, plan: Plan) -> Contents:
    """A closure, in the layers that were planned for it."""
    sizes = {path: closure.infos[path].nar_size for path in closure}
    return Contents(sizes, tuple(Layer(layer.paths, layer.nar_size) for layer in plan.layers))


def _parsed(text: str) -> StorePath:
    try:
        return StorePath.parse(text)
    except ClosureError:  # an odd name: whatever it is, it is shown as it is
        directory, _, base = text.rpartition("/")
        hash_part, _, name = base.partition("-")
        return StorePath(directory, hash_part, name)


# --- why it is there ---------------------------------------------------------------------------


class Reasons(Struct, frozen=True):
    """References and where they are: `naming(reference, owner)` gives paths within the owner.

    They are sorted; `b""` is the owner itself. `packed` has for the store paths of an image how
    many bytes of its layers they are: all of a layer for one alone in it, else a share by size.
    """

    graph: Graph
    naming: Callable[[StorePath, StorePath], tuple[bytes, ...]]
    packed: Mapping[StorePath, int] | None = None
    knows_files: bool = True
    """Whether files were looked into: those of a recorded closure are not at hand, nor are those of
    an image whose layers were not read."""

    def packed_size(self, paths: Iterable[StorePath]) -> int | None:
        """Bytes of layers that paths are; None where there are no layers yet."""
        return None if self.packed is None else sum(self.packed[path] for path in paths)


def planned_reasons(prepared: Prepared) -> Reasons:
    """Of the image that would be built; the store must be held.

    References are those that `kept_references` has.
    """
    launchers, closure = prepared.shells.launchers, prepared.closure
    files = Files(closure, prepared.store.root, launchers, prepared.store.case_hack)
    graph = Graph.of(
        {path: closure.infos[path].nar_size for path in closure},
        kept_references(prepared.shells),
        dict.fromkeys(closure.roots, ("an output that was named",)),
    )
    return Reasons(graph, files.naming)


def closure_reasons(closure: Closure) -> Reasons:
    """Of a recorded closure: the references that Nix recorded."""
    graph = Graph.of(
        {path: closure.infos[path].nar_size for path in closure},
        {path: closure.references(path) for path in closure},
        dict.fromkeys(closure.roots, ("nothing in the file refers to it",)),
    )
    return Reasons(graph, lambda *_: (), knows_files=False)


def image_reasons(source: ImageSource, workers: int = 0) -> Reasons:
    """Of an image, as its files name store paths.

    Raises `OutputError` and `LayoutError` where it cannot be read.
    """
    nodes = read_nodes(source, source.layers(), search=True, workers=workers)
    return reasons_of(source, merged(nodes), [each.store_paths() for each in nodes])


def reasons_of(
    source: ImageSource,
    found: Merged,
    by_layer: Iterable[Collection[str]],
    *,
    knows_files: bool = True,
) -> Reasons:
    """The same where it is known what refers to what, and which store paths are in which layer."""
    paths = {text: _parsed(text) for text in found.sizes}
    by_part = {path.hash_part: path for path in paths.values()}
    graph = Graph.of(
        {path: found.sizes[text] for text, path in paths.items()},
        {
            path: [by_part[part] for part in found.mentions.get(text, ()) if part in by_part]
            for text, path in paths.items()
        },
        _roots(found, settings(source), by_part),
    )

    def naming(reference: StorePath, owner: StorePath) -> tuple[bytes, ...]:
        return found.mentions.get(str(owner), {}).get(reference.hash_part, ())

    packed = _packed(_image_layers(source, by_layer), graph.sizes)
    return Reasons(graph, naming, packed, knows_files)


def image_closure(source: ImageSource, workers: int = 0) -> Closure:
    """The store paths of an image and how its files refer to each other; no NAR hash is known.

    What the entrypoint names comes first among the roots. Raises `ClosureError` where there is
    no store path, or where two refer to each other, and what reading the image raises.
    """
    graph = image_reasons(source, workers).graph
    infos = [
        PathInfo(path, bytes(32), graph.sizes[path], graph.references[path]) for path in graph.sizes
    ]
    referred = {other for info in infos for other in info.references}
    roots = sorted(
        graph.sizes.keys() - referred,
        key=lambda path: ("entrypoint" not in graph.roots[path], path),
    )
    return Closure.of(infos, roots)


def _packed(layers: Iterable[Layer], sizes: Mapping[StorePath, int]) -> dict[StorePath, int]:
    found = dict.fromkeys(sizes, 0)
    for layer in layers:
        kept = [path for path in layer.paths if path in sizes]
        total = sum(sizes[path] for path in kept)
        found |= {path: layer.size * sizes[path] // total for path in kept}
    return found


def _roots(
    found: Merged, values: Mapping[str, str], by_part: Mapping[str, StorePath]
) -> dict[StorePath, tuple[str, ...]]:
    """What the configuration names, and then what files outside of the store paths name."""
    roots: dict[StorePath, dict[str, None]] = {}
    for name, value in values.items():
        for part in hash_parts(value.encode(errors="replace")) if name.startswith(_RUN) else ():
            if path := by_part.get(part.decode()):
                roots.setdefault(path, {})[name] = None
    for text, files in found.outside.items():
        if path := by_part.get(text):
            for file in sorted(files, key=lambda file: (file.count(b"/"), file)):
                roots.setdefault(path, {})[file.decode(errors="backslashreplace")] = None
    return {path: tuple(reasons) for path, reasons in roots.items()}


def similar_packages(name: str, paths: Iterable[StorePath]) -> list[str]:
    """Packages among store paths whose names are like one that is not there, a few at most."""
    packages = sorted({PackageName.parse(path.name).package for path in paths})
    package = PackageName.parse(name.rpartition("/")[2]).package
    near = [other for other in packages if package in other][:_SIMILAR]
    return near or get_close_matches(package, packages, 3)


def recorded_closure(path: str) -> Closure:
    """All store paths of a file that says of them what Nix would, as `nix.given.read_given`."""
    return Closure.of_all(read_given(path))
