"""The document of what is in an image, made of what was decided before its layers are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from nix2oci.model.closure import PathInfo, format_nar_hash
from nix2oci.oci.layer.file_scan import (
    LayerNodes,
    Merged,
    hash_part_of,
    merged,
    read_nodes,
    scan_entries,
)
from nix2oci.oci.spec import Descriptor
from nix2oci.pipeline.debug_twin import Tools
from nix2oci.pipeline.prepared import Prepared
from nix2oci.text import display
from nix2oci.trust.contents import PREDICATE, Contents, DescribedLayer, DescribedPath
from nix2oci.trust.kept_references import kept_references
from nix2oci.trust.trust_document import CONTENTS, TrustDocument


class _Part(Struct, frozen=True):
    """What is known of a layer: whole store paths, and nodes where it was looked into."""

    whole: tuple[PathInfo, ...] = ()
    nodes: LayerNodes | None = None


def contents_document(data: bytes) -> TrustDocument:
    """The document as it is attached."""
    return TrustDocument("contents", CONTENTS, PREDICATE, data)


def describe_contents(
    prepared: Prepared, layers: Sequence[Descriptor], tools: Tools | None
) -> bytes | None:
    """What is in an image of these layers, with `tools` in the debug twin; the store must be held.

    It depends on nothing but what was decided, and so is the same where layers are made, are taken
    from the cache or are in a registry. None for a slim image: what is left of its store paths is
    known of its layers alone.
    """
    if prepared.rules:
        return None
    parts = [*_base(prepared), *_own(prepared)]
    parts += [_Part(nodes=scan_entries(tools.entries()))] if tools else []
    found = merged([each.nodes for each in parts if each.nodes])
    closure = prepared.closure
    sizes = {**found.sizes, **{str(path): closure.infos[path].nar_size for path in closure}}
    by_part = {hash_part_of(path): path for path in sizes}
    launchers = sorted(display(path) for path in prepared.shells.launchers)
    return Contents(
        tuple(_layer(*each) for each in zip(layers, parts, strict=True)),
        dict(sorted(_paths(prepared, sizes, found, by_part))),
        {
            by_part[part]: tuple(map(display, files))
            for part, files in sorted(found.outside.items())
            if part in by_part
        },
        tuple(launchers),
    ).to_bytes()


def _base(prepared: Prepared) -> Iterable[_Part]:
    if prepared.on_base is None:
        return
    base = prepared.on_base.base
    for nodes in read_nodes(base.source, base.layers, search=True):
        yield _Part(nodes=nodes)


def _own(prepared: Prepared) -> Iterable[_Part]:
    """The layers above the base: store paths, and the root last or within the only one."""
    infos, root = prepared.closure.infos, scan_entries(prepared.rootfs)
    plans = [tuple(infos[path] for path in layer.paths) for layer in prepared.plan.layers]
    if prepared.spec.max_layers == 1:
        yield _Part(plans[0], root)
        return
    yield from map(_Part, plans)
    yield _Part(nodes=root)


def _layer(layer: Descriptor, part: _Part) -> DescribedLayer:
    whole = {str(info.path): info.nar_size for info in part.whole}
    if part.nodes is None:
        return DescribedLayer(str(layer.digest), whole)
    top = {display(path.split(b"/")[0]) for path in part.nodes.nodes}
    return DescribedLayer(
        str(layer.digest),
        dict(sorted((part.nodes.store_paths() | whole).items())),
        None if whole else len(part.nodes.nodes),
        tuple(sorted(top | ({"nix"} if whole else set()))),
    )


def _paths(
    prepared: Prepared, sizes: Mapping[str, int], found: Merged, by_part: Mapping[str, str]
) -> Iterable[tuple[str, DescribedPath]]:
    """What refers to what: as Nix recorded it, and as files name it that were looked into."""
    kept = {str(path): others for path, others in kept_references(prepared.shells).items()}
    infos = {str(path): info for path, info in prepared.closure.infos.items()}
    for path, size in sizes.items():
        named = {by_part[part] for part in found.mentions.get(path, ()) if part in by_part}
        references = {*map(str, kept.get(path, ())), *named} - {path}
        nar_hash = format_nar_hash(infos[path].nar_hash) if path in infos else ""
        yield path, DescribedPath(size, tuple(sorted(references)), nar_hash)
