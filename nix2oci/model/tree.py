"""Entries of an image's file system, and trees of them.

Names are bytes, relative, without a leading or trailing slash: `b"nix/store/…/bin/app"`.
The root directory itself has the name `b"."`. The hard part is a clash: two owners may give
one path only when they give the same thing, and the error names both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import ConflictError, RepresentationError
from nix2oci.text import display

ROOT = b"."
WHITEOUT = b".wh."
"""How names begin that mark deletions in a layer (image-spec layer.md, Whiteouts)."""
OPAQUE = b".wh..wh..opq"
"""The name that hides all that lower layers have in its directory."""


class Directory(Struct, frozen=True):
    """A directory; what is in it are entries of their own."""

    path: bytes
    mode: int = 0o555
    uid: int = 0
    gid: int = 0


class Content:
    """What is in a large file, for one reader: all of it is iterated over, or read into memory."""

    def __iter__(self) -> Iterator[bytes]:
        raise NotImplementedError

    def read_into(self, memory: memoryview) -> None:
        """Fill `memory` with what comes next; asked for no more than there is."""
        raise NotImplementedError


class File(Struct, frozen=True):
    """A regular file.

    `chunks` gives exactly `size` bytes; it may be a one-way stream, so read it once.
    """

    path: bytes
    size: int
    chunks: Iterable[bytes]
    mode: int = 0o444
    uid: int = 0
    gid: int = 0


class Symlink(Struct, frozen=True):
    """A symbolic link; the target is kept byte for byte."""

    path: bytes
    target: bytes


class HardLink(Struct, frozen=True):
    """A further name of a file that comes earlier in the same layer.

    `mode` is that of the file.
    """

    path: bytes
    target: bytes
    mode: int = 0o444


class Whiteout(Struct, frozen=True):
    """A mark that hides what a base image has (image-spec layer.md, Whiteouts).

    `etc/.wh.motd` hides `etc/motd`, and `srv/.wh..wh..opq` all that is in `srv`.
    """

    path: bytes

    @classmethod
    def of(cls, hidden: bytes) -> Whiteout:
        above, slash, name = hidden.rpartition(b"/")
        return cls(above + slash + WHITEOUT + name)

    @property
    def about(self) -> bytes:
        """The path that it hides, or that of which it hides all that is in it."""
        above, slash, name = self.path.rpartition(b"/")
        return above if name == OPAQUE else above + slash + name.removeprefix(WHITEOUT)


Entry = Directory | File | Symlink | HardLink | Whiteout


def text_file(path: str, content: str, mode: int = 0o644) -> File:
    """A small file whose content is at hand."""
    data = content.encode()
    return File(path.encode(), len(data), (data,), mode)


def check_name(path: bytes) -> None:
    """Raise `RepresentationError` for a path that no OCI layer can carry.

    A component that starts with `.wh.` means "delete" in a layer (image-spec, layer.md,
    Whiteouts): runtimes drop the file, its neighbour, or the whole layer.
    """
    if WHITEOUT in path and any(part.startswith(WHITEOUT) for part in path.split(b"/")):
        raise RepresentationError(
            f"cannot put /{display(path)} into a layer: names that start with '.wh.' mark deletions"
        )


def sort_key(path: bytes) -> tuple[bytes, ...]:
    """Depth first, each directory's entries in bytewise order of their names, the root first."""
    return () if path == ROOT else tuple(path.split(b"/"))


class Owned(Struct, frozen=True):
    """An entry and who asks for it, in words that an error can name."""

    entry: Entry
    owner: str


class Tree(Struct, frozen=True):
    """Entries by path, in `sort_key` order. Every file's chunks can be read more than once."""

    owned: Mapping[bytes, Owned]

    @classmethod
    def merge(cls, entries: Iterable[Owned]) -> Tree:
        """One tree of all entries; missing parents become directories of mode 0755.

        Raises `ConflictError` when two owners give different things for one path, or one gives
        something inside what another gives as a file or link, and `RepresentationError` for a
        name that a layer cannot carry.
        """
        found: dict[bytes, Owned] = {}
        for item in entries:
            check_name(item.entry.about if isinstance(item.entry, Whiteout) else item.entry.path)
            other = found.setdefault(item.entry.path, item)
            if not _same(other.entry, item.entry):
                raise _conflict(item.entry.path, other, item)
        for path, item in list(found.items()):
            for parent in parents(path):
                above = found.setdefault(parent, Owned(Directory(parent, 0o755), item.owner))
                if not isinstance(above.entry, Directory):
                    raise _conflict(parent, above, item)
        return cls({path: found[path] for path in sorted(found, key=sort_key)})

    def __iter__(self) -> Iterator[Entry]:
        return (item.entry for item in self.owned.values())

    def __len__(self) -> int:
        return len(self.owned)

    def without_marks(self) -> Tree:
        """The entries that are something."""
        kept = {p: each for p, each in self.owned.items() if not isinstance(each.entry, Whiteout)}
        return Tree(kept)

    def hides(self, path: bytes) -> bool:
        """Whether what a base image has at a path is hidden by a mark."""
        above = tuple(parents(path))
        marks = [Whiteout.of(each).path for each in (path, *above)]
        return any(mark in self.owned for mark in (*marks, *(p + b"/" + OPAQUE for p in above)))

    def with_opaque(self) -> Tree:
        """With marks inside of directories that are there, in place of those beside them.

        Of a mark and a directory of one name, engines forget the mark.
        """
        owned = dict(self.owned)
        for path, each in self.owned.items():
            if isinstance(each.entry, Whiteout) and each.entry.about in self.owned:
                mark = Whiteout(each.entry.about + b"/" + OPAQUE)
                owned[mark.path] = Owned(mark, owned.pop(path).owner)
        return Tree.merge(owned.values()) if owned.keys() != self.owned.keys() else self

    def get(self, path: bytes) -> Entry | None:
        """The entry of a path, links not followed."""
        item = self.owned.get(path)
        return item.entry if item else None


def parents(path: bytes) -> Iterator[bytes]:
    """The directories above a path, nearest first, the root left out."""
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


def _same(one: Entry, other: Entry) -> bool:
    if isinstance(one, File) and isinstance(other, File):
        bare = replace(one, chunks=()), replace(other, chunks=())
        return bare[0] == bare[1] and b"".join(one.chunks) == b"".join(other.chunks)
    return one == other


def _conflict(path: bytes, one: Owned, other: Owned) -> ConflictError:
    return ConflictError("/" + display(path), (one.owner, other.owner))
