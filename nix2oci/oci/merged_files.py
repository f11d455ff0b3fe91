"""The files that an image's layers make together, looked into without unpacking them.

The hard part is to read no more layers than the answer needs. What was seen so far is one view of
the topmost layers; another layer is put below it only when these do not say what is at a path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from nix2oci.model.links import At, Resolved, resolve
from nix2oci.model.tree import parents, sort_key
from nix2oci.oci.layer.inodes import IMPLIED, Inode, LayerNames, read_names
from nix2oci.oci.layer.stream import open_layer, unreadable
from nix2oci.oci.layer.untar import HARDLINK, TarError, normal
from nix2oci.oci.layer.whiteouts import topmost
from nix2oci.oci.layout.source import ImageSource
from nix2oci.text import display


class _View(Struct):
    """What the layers above some layer say of each path; it is the same as one layer that has all.

    A directory that layers only imply takes the place of what is none below, as in an overlay of
    the kernel, and has mode and owner of the directory that it is over.
    """

    nodes: dict[bytes, Inode] = field(default_factory=dict)
    implied: set[bytes] = field(default_factory=set)
    whole: set[bytes] = field(default_factory=set)
    inside: set[bytes] = field(default_factory=set)
    """What is hidden of the layers below, as `Hidden` has it."""

    def put_below(self, layer: LayerNames) -> None:
        fresh: dict[bytes, Inode] = {}
        covered: set[bytes] = set()
        for path, inode in layer.nodes.items():
            mine = self.nodes.get(path)
            is_mine = path in self.implied or (mine is not None and mine.is_directory)
            if (mine is not None and not is_mine) or self.hides(path):
                continue
            if is_mine and not inode.is_directory:
                covered.add(path)
            if mine is None:
                fresh[path] = IMPLIED if path in covered else inode
        self.implied |= {p for p in layer.implied if p not in self.nodes and not self.hides(p)}
        self.implied -= fresh.keys()
        self.nodes |= fresh
        self.whole |= layer.hidden.whole - {b""}
        self.inside |= layer.hidden.inside | covered

    def hides(self, path: bytes) -> bool:
        """Whether nobody sees what layers below have at a path."""
        if not path:
            return False
        return path in self.whole or b"" in self.inside or any(map(self._covers, parents(path)))

    def hides_inside(self, path: bytes) -> bool:
        """Whether nobody sees what layers below have in a directory."""
        return self._covers(path) or self.hides(path)

    def _covers(self, directory: bytes) -> bool:
        inode = self.nodes.get(directory)
        is_other = inode is not None and not inode.is_directory
        return is_other or directory in self.whole or directory in self.inside


class ImageFiles:
    """The merged file system of an image; paths are relative to its root, which is `b""`.

    Every question may read layers, and raises what that does: `LayoutError`, `OutputError`.
    """

    def __init__(
        self,
        source: ImageSource,
        *,
        top: int | None = None,
        read: dict[int, LayerNames] | None = None,
    ) -> None:
        self._source = source
        layers = source.layers()
        distinct = topmost([layer.digest for layer in layers])
        self._layers = [layers[number] for number in distinct][:top]
        self._left = len(self._layers)
        self._view = _View()
        self._read = {} if read is None else read
        """The layers that were read, by number."""
        self._below: dict[int, ImageFiles] = {}
        """The files that are below a layer, by its number."""

    @property
    def where(self) -> str:
        """How the user named the image."""
        return self._source.where

    def layer(self, inode: Inode) -> str | None:
        """The digest of the layer that has it; None where none has an entry."""
        return None if inode.layer < 0 else str(self._layers[inode.layer].digest)

    def find(self, path: bytes, *, follow: bool = True) -> Resolved:
        """Where a path leads to by the rules of the kernel; the last link only with `follow`."""
        above, _, name = path.rpartition(b"/")
        if follow or name in (b"", b".", b".."):
            return resolve(path, self._look)
        found = resolve(above, self._look)
        if found.at is not At.DIRECTORY:
            return Resolved(found.path, found.at if found.at is At.LOOP else At.NOTHING)
        here = found.path + b"/" + name
        at = self._look(here)
        return Resolved(here, at if isinstance(at, At) else At.FILE)

    def inode(self, path: bytes) -> Inode | None:
        """What is at a path; no link is followed."""
        while True:
            found = self._view.nodes.get(path)
            if found is not None:
                return self._original(found)
            if self._view.hides(path) or not self._deeper():
                return IMPLIED if path in self._view.implied or not path else None

    def names(self, directory: bytes) -> list[bytes]:
        """The paths of what is in a directory, sorted."""
        while not self._view.hides_inside(directory) and self._deeper():
            pass
        view, start = self._view, len(directory) + 1 if directory else 0
        inside = directory + b"/" if directory else b""
        return sorted(
            path
            for paths in (view.nodes, view.implied)
            for path in paths
            if path and path.startswith(inside) and b"/" not in path[start:]
        )

    def all(self) -> dict[bytes, Inode]:
        """Everything by path, directories before what is in them; all layers are read."""
        while self._deeper():
            pass
        found = {path: self._original(inode) for path, inode in self._view.nodes.items()}
        found |= dict.fromkeys(self._view.implied, IMPLIED)
        return {path: found[path] for path in sorted(found, key=sort_key)}

    def content(self, inode: Inode) -> Iterator[memoryview]:
        """The bytes of a regular file, in pieces; raises as `pieces`."""
        if inode.member.size:
            yield from (piece for _, piece in self.pieces(inode.layer, {inode.place: inode}))

    def pieces(self, layer: int, wanted: Mapping[int, Inode]) -> Iterator[tuple[Inode, memoryview]]:
        """The bytes of files of a layer that are not empty, by their places, in that order."""
        last = max(wanted)
        with open_layer(self._source, self._layers[layer]) as stream:
            for place, (member, reader) in enumerate(stream.members()):
                inode = wanted.get(place, IMPLIED)
                if inode is not IMPLIED and member != inode.member:
                    raise TarError("it changed while it was read")
                yield from ((inode, piece) for piece in reader.content() if inode is not IMPLIED)
                if place == last:
                    return
            raise TarError("it changed while it was read")

    def _look(self, at: bytes) -> bytes | At:
        path = at[1:]
        while True:
            inode = self._view.nodes.get(path)
            if inode is not None:
                inode = self._original(inode)
                return inode.target or (At.DIRECTORY if inode.is_directory else At.FILE)
            if path in self._view.implied:
                return At.DIRECTORY
            if self._view.hides(path) or not self._deeper():
                return At.NOTHING

    def _deeper(self) -> bool:
        """Read another layer; False where there is none."""
        if not self._left:
            return False
        self._left -= 1
        number = self._left
        if number not in self._read:
            self._read[number] = read_names(self._source, self._layers[number], number)
        self._view.put_below(self._read[number])
        return True

    def _original(self, inode: Inode) -> Inode:
        """What a hard link of one layer leads to in those below it."""
        if inode.member.kind != HARDLINK:
            return inode
        number = inode.layer
        if number not in self._below:
            self._below[number] = ImageFiles(self._source, top=number, read=self._read)
        found = self._below[number].inode(normal(inode.member.link))
        if found is None or found.is_directory:
            cause = f"{display(inode.member.path)} is a hard link to what is not there"
            raise unreadable(self._source, self._layers[number], cause)
        return found
