"""The view of an image over the files of a base image.

What the view has for every image (links such as /bin, users, certificates, /etc/os-release) is
left to a base that has it: its own programs were made for those. What an output brings takes the
place of a file of the base, as COPY in a Dockerfile does, and is told. A directory keeps the mode
and the owner that the base gives it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from nix2oci.errors import ConflictError, RepresentationError
from nix2oci.model.tree import ROOT, Directory, Entry, File, Owned, Symlink, Tree, parents
from nix2oci.plan.claims import OWN, without
from nix2oci.plan.overlay.lower_tree import THE_BASE, LowerTree
from nix2oci.plan.rootfs import is_common
from nix2oci.text import display

_OS_RELEASE = {b"etc/os-release", b"usr/lib/os-release"}
"""Two names of one file: a base that has one has the other left out."""


class Overlaid(Struct, frozen=True):
    """What the last layer has on a base, and what became of names that both have."""

    tree: Tree
    replaced: Mapping[bytes, str]
    """Files and links of the base that are hidden, and who hides them."""
    kept: tuple[bytes, ...]
    """Paths of the view that are as the base has them."""


class _Laying(Struct):
    lower: LowerTree
    store: bytes
    joined: Mapping[bytes, bytes]
    placed: list[Owned] = field(default_factory=list)
    replaced: dict[bytes, str] = field(default_factory=dict)
    kept: list[bytes] = field(default_factory=list)

    def lay(self, item: Owned) -> None:
        path = item.entry.path
        if path == self.store or self._in_store(path) or path in parents(self.store):
            self.placed.append(item)
        elif isinstance(item.entry, Directory):
            self._directory(item, item.entry)
        elif path in self.joined:
            there, content = self.lower.follow(path), self.joined[path]
            if self._in_store(there):  # what a link of dockerTools leads to stays as it is
                there = self._place_of(path)
            self._place(item, File(there, len(content), (content,), 0o644))
        else:
            self._leaf(item)

    def _directory(self, item: Owned, entry: Directory) -> None:
        path = self.lower.follow(entry.path)
        if path and path not in self.lower.directories:
            self._place(item, replace(entry, path=path))

    def _leaf(self, item: Owned) -> None:
        path = self._place_of(item.entry.path)
        entry = _moved(item.entry, path)
        if path not in self.lower:
            if is_common(item.entry.path) and self._is_directory(path):
                return
            if item.entry.path in _OS_RELEASE and any(map(self.lower.has, _OS_RELEASE)):
                return
            self._place(item, entry)
        elif is_common(item.entry.path):
            self.kept.append(path)
        elif path in self.lower.directories:
            raise _conflict(path, "a directory", item)
        elif not isinstance(entry, Symlink) or self.lower.links.get(path) != entry.target:
            self.replaced[path] = item.owner
            self._place(item, entry)

    def _is_directory(self, path: bytes) -> bool:
        """Whether a link of the base has led something of ours to where this would be."""
        return any(
            path in parents(other.entry.path)
            or (path == other.entry.path and isinstance(other.entry, Directory))
            for other in self.placed
        )

    def _in_store(self, path: bytes) -> bool:
        return path.startswith(self.store + b"/")

    def _place_of(self, path: bytes) -> bytes:
        above, _, name = path.rpartition(b"/")
        there = self.lower.follow(above)
        return there + b"/" + name if there else name

    def _place(self, item: Owned, entry: Entry) -> None:
        """Put an entry where nothing, or a file or link, is; the directories above must be some."""
        path = entry.path
        if self._in_store(path):
            raise RepresentationError(
                f"cannot place /{display(item.entry.path)}: {THE_BASE} has a link there that leads "
                f"into the store, to /{display(path)}"
            )
        above = [*parents(path), *([path] if isinstance(entry, Directory) else [])]
        for directory in above:
            if directory in self.lower.files:
                raise _conflict(directory, "a file", item)
        self.placed.append(Owned(entry, item.owner))

    def all(self) -> Iterator[Owned]:
        """What was placed, and the directories above it as the base has them.

        In the store they are as ours: those of a store path are the same everywhere.
        """
        yield from self.placed
        ours = {self.store, *parents(self.store)}
        for item in self.placed:
            for path in parents(item.entry.path):
                directory = self.lower.directories.get(path)
                if directory and path not in ours and not self._in_store(path):
                    yield Owned(directory, THE_BASE)


def lay_over(
    view: Tree, lower: LowerTree, store_dir: str, joined: Mapping[bytes, bytes] | None = None
) -> Overlaid:
    """Lay the view over a base; `store_dir` must be real directories there, if it is there.

    `joined` has the new content of files that the view and the base make together.
    Raises `RepresentationError` where the base has a link or file for the store, where its links
    go in circles, or lead from the view into the store; `ConflictError` where an output has a
    file and the base a directory, or the other way round.
    """
    store = store_dir[1:].encode()
    for path in (store, *parents(store)):
        if path in lower.links or path in lower.files:
            what = "a link" if path in lower.links else "a file"
            raise RepresentationError(
                f"cannot lay the store over {THE_BASE}: its /{display(path)} is {what}, "
                "no directory"
            )
    laying = _Laying(lower, store, joined or {})
    for item in sorted(view.owned.values(), key=lambda item: is_common(item.entry.path)):
        if item.entry.path != ROOT:
            laying.lay(item)
    return Overlaid(Tree.merge(laying.all()), laying.replaced, tuple(laying.kept))


def _conflict(path: bytes, what: str, item: Owned) -> ConflictError:
    error = ConflictError("/" + display(path), (f"{THE_BASE} ({what})", item.owner))
    if not item.owner.startswith(OWN):
        error.hint = without(item.entry.path)
    return error


def _moved(entry: Entry, path: bytes) -> Entry:
    """The entry at another path; a relative target still leads to the same place."""
    if isinstance(entry, Symlink) and not entry.target.startswith(b"/"):
        above, there = entry.path.rpartition(b"/")[0], path.rpartition(b"/")[0]
        if above != there:
            target = posixpath.normpath(b"/" + above + b"/" + entry.target)
            return Symlink(path, target)
    return replace(entry, path=path)
