"""The names of one layer: what is at each path, and what the layer hides of those below it."""

from __future__ import annotations

from msgspec import Struct, field

from nix2oci.model.links import At, resolve
from nix2oci.model.tree import parents
from nix2oci.oci.layer.stream import open_layer
from nix2oci.oci.layer.untar import (
    DIRECTORY,
    FILE,
    HARDLINK,
    MAX_NAME,
    SYMLINK,
    EndMarkError,
    Member,
    TarError,
    normal,
)
from nix2oci.oci.layer.whiteouts import Hidden, is_whiteout
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import Descriptor
from nix2oci.text import display


class Inode(Struct, frozen=True):
    """What is at a path, or at several that are hard links of each other.

    Its member is a hard link itself only where it is one to a file of a lower layer.
    """

    member: Member
    layer: int = -1
    """Number of the layer that has it, the base layer's is 0."""
    place: int = -1
    """Number of its member in the tar."""

    @property
    def is_directory(self) -> bool:
        return self.member.kind == DIRECTORY

    @property
    def is_file(self) -> bool:
        return self.member.kind == FILE

    @property
    def target(self) -> bytes | None:
        """Where it leads to if it is a symbolic link."""
        return self.member.link if self.member.kind == SYMLINK else None


IMPLIED = Inode(Member(b"", DIRECTORY, 0o755, 0, b"", mtime=1))
"""A directory that no layer has an entry for."""


class LayerNames(Struct):
    """Paths are relative to the root, which is `b""`; no link leads to another of them."""

    nodes: dict[bytes, Inode] = field(default_factory=dict)
    hidden: Hidden = Hidden(frozenset(), frozenset())
    implied: set[bytes] = field(default_factory=set)
    """Directories above the nodes that have no entry in this layer."""
    _inside: dict[bytes, set[bytes]] = field(default_factory=dict)
    """What is directly in each directory: it goes at once when a file takes that one's place."""

    def add(self, inode: Inode) -> None:
        """Put it where its name is, as tar would; raises `TarError` where that cannot be."""
        member = inode.member
        path = self._real(_checked(member.name))
        if not path and member.kind != DIRECTORY:
            raise TarError("an entry that is no directory has no name")
        if member.kind == HARDLINK:
            inode = self.nodes.get(self._real(_checked(member.link)), inode)
            if inode.is_directory:
                raise TarError(f"{display(path)} is a hard link to a directory")
        old = self.nodes.get(path)
        if (old is None or old.is_directory) and not inode.is_directory:
            self._remove_inside(path)
        self.nodes[path] = inode
        self._imply(path)

    def _real(self, path: bytes) -> bytes:
        """The path, links of this layer followed on the way but for its last part."""
        above, _, name = path.rpartition(b"/")
        if not above or above in self.implied or self._look(b"/" + above) is At.DIRECTORY:
            return path
        found = resolve(above, lambda at: self._look(at) or At.DIRECTORY)
        if found.at is not At.DIRECTORY:
            raise TarError(f"{display(path)} is in what is no directory")
        return found.path[1:] + b"/" + name if found.path else name

    def _look(self, at: bytes) -> bytes | At | None:
        inode = self.nodes.get(at[1:])
        if inode is None:
            return None
        return inode.target or (At.DIRECTORY if inode.is_directory else At.FILE)

    def _imply(self, path: bytes) -> None:
        self.implied.discard(path)
        for above in parents(path):
            self._inside.setdefault(above, set()).add(path)
            if above in self.nodes or above in self.implied:
                return
            self.implied.add(above)
            path = above

    def _remove_inside(self, path: bytes) -> None:
        """Something is where a directory was."""
        gone = self._inside.pop(path, set())
        while gone:
            each = gone.pop()
            self.nodes.pop(each, None)
            self.implied.discard(each)
            gone |= self._inside.pop(each, set())


def _checked(name: bytes) -> bytes:
    """The normal form of a name that may be in a layer; raises `TarError` for others."""
    if b".." in name.split(b"/"):
        raise TarError(f"the name {display(name[:MAX_NAME])} leads upwards")
    if len(name) > MAX_NAME or b"\0" in name:
        raise TarError(f"no file can have the name {display(name[:100])}…")
    return normal(name)


def read_names(source: ImageSource, layer: Descriptor, number: int) -> LayerNames:
    """Read a layer to its end; raises `LayoutError` where it is damaged, and `OutputError`."""
    found = LayerNames()
    marks: list[bytes] = []
    with open_layer(source, layer) as stream:
        try:
            for place, (member, _) in enumerate(stream.members()):
                if is_whiteout(member.path):
                    marks.append(_checked(member.name))
                else:
                    found.add(Inode(member, number, place))
        except EndMarkError:
            pass  # engines read such a tar
    found.hidden = Hidden.by(marks)
    return found
