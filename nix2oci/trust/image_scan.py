"""What the layers of an image say of its store paths: each layer is read once, as a stream.

Of a store path the NAR hash, of all files together which store paths they name, and the packages
of languages. As everywhere, a file counts as the last layer has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from msgspec import Struct, field

from nix2oci.model.hash_parts import HashParts
from nix2oci.oci.layer.file_scan import LayerNodes, Merged, Node, merged
from nix2oci.oci.layer.stream import open_layer
from nix2oci.oci.layer.untar import DIRECTORY, FILE, HARDLINK, Member, TarReader, normal
from nix2oci.oci.layer.whiteouts import is_whiteout, lay_over
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import SLIMMED, Descriptor
from nix2oci.oci.validate.layer_contents import STORE_PATH
from nix2oci.oci.validate.nar_hash import NarHash, NarOrderError
from nix2oci.text import display
from nix2oci.trust.languages.described_by import streamed_packages
from nix2oci.trust.languages.found import Found


class LayerFiles(Struct):
    """What one layer says."""

    nodes: dict[bytes, Node] = field(default_factory=dict)
    whiteouts: list[bytes] = field(default_factory=list)
    nar_hashes: dict[str, bytes] = field(default_factory=dict)
    """Of the store paths that are whole and in the order of a NAR."""
    packages: dict[bytes, list[Found]] = field(default_factory=dict)
    """By the file that has them, relative to the root."""
    hashed: bool = True
    """Whether its store paths are as Nix made them: of a slim layer no NAR hash is known."""
    _path: bytes = b""
    _nar: NarHash | None = None
    _begun: set[bytes] = field(default_factory=set)

    def read(self, members: Iterable[tuple[Member, TarReader]]) -> None:
        """Read the whole layer; raises what the members raise."""
        for member, reader in members:
            if is_whiteout(member.path):
                self.whiteouts.append(member.path)
            elif member.kind == HARDLINK:
                self._inside(member)  # no NAR has one
                self.nodes[member.path] = self.nodes.get(normal(member.link), Node(0))
            elif member.path:
                self._read(member, reader)
        self._end()

    def _read(self, member: Member, reader: TarReader) -> None:
        inside = self._inside(member)
        parts = HashParts()
        pieces = self._through(reader.content(), parts, hashed=inside is not None)
        if member.kind == FILE:
            executable = bool(member.mode & 0o111)
            found = streamed_packages(member.path, pieces, executable=executable)
            if found:
                self.packages[member.path] = found
        for _ in pieces:
            pass
        if inside is not None and self._nar and member.kind == FILE:
            self._nar.file_end(inside, member.size)
        for text in (member.link, member.path.rpartition(b"/")[2]):
            parts.feed(b"/")
            parts.feed(text)
        self.nodes[member.path] = Node(0, member.kind == DIRECTORY, frozenset(parts.found))

    def _through(
        self, content: Iterable[memoryview], parts: HashParts, *, hashed: bool
    ) -> Iterator[bytes]:
        for piece in content:
            data = bytes(piece)
            parts.feed(data)
            if hashed and self._nar:
                self._nar.content(data)
            yield data

    def _inside(self, member: Member) -> tuple[bytes, ...] | None:
        """The path relative to its store path, which was begun; None outside of any."""
        found = STORE_PATH.fullmatch(member.path)
        if not found:
            return None
        path, rest = found.groups()
        if path != self._path:
            self._end()
            is_new = self.hashed and path not in self._begun
            self._path, self._nar = path, NarHash() if is_new else None
            self._begun.add(path)
        inside = tuple(rest.split(b"/")) if rest else ()
        if self._nar:
            try:
                self._nar.add(
                    *(inside, member.kind), size=member.size, mode=member.mode, link=member.link
                )
            except NarOrderError:
                self._nar = None
        return inside

    def _end(self) -> None:
        if self._nar and not self._nar.has_hard_links:
            self.nar_hashes["/" + display(self._path)] = self._nar.end()
        self._path, self._nar = b"", None


class ImageFiles(Struct, frozen=True):
    """What all layers say together."""

    store_paths: dict[str, int]
    """Each with the number of the lowest layer that has it."""
    nar_hashes: dict[str, bytes]
    """As that layer has it: what lies over it, such as a launcher, is left out."""
    merged: Merged
    packages: dict[bytes, list[Found]]
    """By the file, relative to the root, where no layer hides it."""


def read_image_files(source: ImageSource, layers: Sequence[Descriptor], workers: int) -> ImageFiles:
    """Read every layer, so many at once; raises `OutputError` and `LayoutError`."""
    distinct = {layer.digest: layer for layer in layers}
    with ThreadPoolExecutor(workers) as pool:
        read = dict(
            zip(distinct, pool.map(partial(_layer, source), distinct.values()), strict=True)
        )
    found = [read[layer.digest] for layer in layers]
    together = merged([LayerNodes(each.nodes, tuple(each.whiteouts)) for each in found])
    paths: dict[str, int] = {}
    hashes: dict[str, bytes] = {}
    packages: dict[bytes, list[Found]] = {}
    for number, each in enumerate(found):
        own = LayerNodes(each.nodes, ()).store_paths().keys() & together.sizes.keys() - paths.keys()
        paths |= dict.fromkeys(sorted(own), number)
        hashes |= {path: each.nar_hashes[path] for path in own & each.nar_hashes.keys()}
        nodes = {path: each.packages.get(path, []) for path in each.nodes}
        packages = lay_over(packages, nodes, each.whiteouts, lambda _: False)
    return ImageFiles(paths, hashes, together, {p: each for p, each in packages.items() if each})


def _layer(source: ImageSource, layer: Descriptor) -> LayerFiles:
    found = LayerFiles(hashed=SLIMMED not in layer.annotations)
    with open_layer(source, layer) as stream:
        found.read(stream.members())
    return found
