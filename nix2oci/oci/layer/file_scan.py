"""What the files of an image refer to: an image has no reference graph, so its bytes are read.

Each layer is read once, as a stream. Kept is a small value for each file: what it weighs in a NAR,
and the hash parts that are in it. The hard part is that layers lie on top of each other: a file
counts as the last layer has it, as a launcher does that lies over a wrapper.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import attrgetter

from msgspec import Struct, field

from nix2oci.host.differences import here
from nix2oci.model.hash_parts import HashParts
from nix2oci.model.tree import Entry
from nix2oci.oci.layer.stream import open_layer
from nix2oci.oci.layer.tar import tar_blocks
from nix2oci.oci.layer.untar import DIRECTORY, HARDLINK, SYMLINK, Member, TarReader, normal
from nix2oci.oci.layer.whiteouts import is_whiteout, lay_over, topmost
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import Descriptor
from nix2oci.oci.validate.layer_contents import STORE_PATH
from nix2oci.text import display

_RECORDS = (b"nix/var/", b"nix-path-registration")
"""What Nix keeps about all store paths of an image: it keeps none of them there."""

# Bytes that surround a node and an entry of a directory (Nix manual, "Nix Archive format").
_ARCHIVE, _NODE, _ENTRY = 24, 48, 80


class Node(Struct, frozen=True):
    """One file, directory or link: its part of the store path's NAR in bytes.

    `hash_parts` is what may be one in its content, target and name.
    """

    nar_size: int
    is_directory: bool = False
    hash_parts: frozenset[bytes] = frozenset()


class LayerNodes(Struct, frozen=True):
    """A layer: nodes by path relative to the root, and the marks of what it deletes."""

    nodes: Mapping[bytes, Node]
    whiteouts: tuple[bytes, ...]

    def store_paths(self) -> dict[str, int]:
        """Those that any entry of the layer lies in, with the bytes of NAR that are here."""
        sizes: dict[str, int] = {}
        for path, node in self.nodes.items():
            owner, name = _within(path)
            if owner:
                entry = _ENTRY + _padded(len(name.rpartition(b"/")[2])) if name else _ARCHIVE
                sizes[owner] = sizes.get(owner, 0) + node.nar_size + entry
        return sizes


class Merged(Struct, frozen=True):
    """The layers of an image on top of each other.

    `sizes` has bytes of NAR by store path, as the first layer has it and as Nix counts: what lies
    over it, such as a launcher, is left out. `mentions` has by store path, and by hash part, the
    paths within it of the files that name the hash part; `b""` is the store path itself. The same
    of files outside of any store path is in `outside`, by absolute path.
    """

    sizes: Mapping[str, int]
    mentions: Mapping[str, Mapping[str, tuple[bytes, ...]]] = field(default_factory=dict)
    outside: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)


def read_nodes(
    source: ImageSource, layers: Sequence[Descriptor], *, search: bool, workers: int = 0
) -> tuple[LayerNodes, ...]:
    """What is in each layer; with `search`, the content of files is searched for hash parts.

    `workers` layers are read at once, and one that is listed several times once: it is the same
    value. Raises `OutputError` where a blob is missing and `LayoutError` for a layer that cannot
    be read to its end.
    """
    with ThreadPoolExecutor(workers or here().cores) as pool:
        distinct = {layer.digest: layer for layer in layers}
        read = pool.map(partial(_read, source, search), distinct.values())
        found = dict(zip(distinct, read, strict=True))
    return tuple(found[layer.digest] for layer in layers)


def hash_part_of(path: str) -> str:
    """The hash part in the name of a store path, by which `Merged` knows what is mentioned."""
    return path.rpartition("/")[2].partition("-")[0]


def scan_entries(entries: Iterable[Entry]) -> LayerNodes:
    """The same of a layer that these entries become, searched; files are read."""
    reader = TarReader(map(bytes, tar_blocks(entries)))
    return _collected(((member, reader) for member in reader), search=True)


def _read(source: ImageSource, search: bool, layer: Descriptor) -> LayerNodes:  # noqa: FBT001
    with open_layer(source, layer) as stream:
        return _collected(stream.members(), search=search)


def _collected(members: Iterable[tuple[Member, TarReader]], *, search: bool) -> LayerNodes:
    nodes: dict[bytes, Node] = {}
    whiteouts: list[bytes] = []
    for member, reader in members:
        path = member.path
        if is_whiteout(path):
            whiteouts.append(path)
        elif member.kind == HARDLINK:
            nodes[path] = nodes.get(normal(member.link), Node(0))
        elif path:
            nodes[path] = _node(member, reader, search=search)
    return LayerNodes(nodes, tuple(whiteouts))


def _node(member: Member, reader: TarReader, *, search: bool) -> Node:
    """A member, its content read where that is wanted."""
    size, is_directory = _node_size(member), member.kind == DIRECTORY
    if not search:
        return Node(size, is_directory)
    parts = HashParts()
    for piece in reader.content():
        parts.feed(piece)
    for text in (member.link, member.path.rpartition(b"/")[2]):
        parts.feed(b"/")
        parts.feed(text)
    return Node(size, is_directory, frozenset(parts.found))


def _node_size(member: Member) -> int:
    """Bytes of a node in a NAR: the format's own words, then what each kind has."""
    if member.kind == DIRECTORY:
        return _NODE + 24
    if member.kind == SYMLINK:
        return _NODE + 32 + _padded(len(member.link))
    executable = 32 if member.mode & 0o100 else 0
    return _NODE + 32 + executable + _padded(member.size)


def _padded(length: int) -> int:
    """Bytes of a string in a NAR: its length, and zeros up to a multiple of 8."""
    return 8 + length + -length % 8


def merged(layers: Sequence[LayerNodes]) -> Merged:
    """All layers as one, whatever each of them hides or deletes of those below."""
    nodes: dict[bytes, Node] = {}
    sizes: dict[str, int] = {}
    for number in topmost([id(layer) for layer in layers]):
        layer = layers[number]
        nodes = lay_over(nodes, layer.nodes, layer.whiteouts, attrgetter("is_directory"))
    for layer in {id(layer): layer for layer in layers}.values():
        sizes = layer.store_paths() | sizes
    owners: set[str] = set()
    found: defaultdict[str, defaultdict[str, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    for path, node in nodes.items():
        owner, inside = _within(path)
        if owner:
            owners.add(owner)
        elif path.startswith(_RECORDS):
            continue
        for part in node.hash_parts:
            found[owner][part.decode()].append(inside if owner else b"/" + path)
    named = {
        owner: {part: tuple(sorted(files)) for part, files in sorted(parts.items())}
        for owner, parts in found.items()
    }
    outside = named.pop("", {})
    return Merged({path: sizes[path] for path in sizes if path in owners}, named, outside)


def _within(path: bytes) -> tuple[str, bytes]:
    """The store path that a path lies in, absolute, and the rest; both empty outside of any."""
    match = STORE_PATH.fullmatch(path)
    return ("/" + display(match[1]), match[2] or b"") if match else ("", b"")
