"""The files of a base image, as far as it matters what is laid over them.

The hard part is a linked directory: an entry `bin/app` in a layer above `bin -> usr/bin` takes the
link's place and hides what is behind it (image-spec, layer.md, Changeset over existing files). So
every path is followed to where it really is before anything is put there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from nix2oci.errors import RepresentationError
from nix2oci.model.links import At, resolve
from nix2oci.model.tree import Directory, Symlink, Tree, Whiteout
from nix2oci.text import display

THE_BASE = "the base image"
"""Its name as an owner."""


class LowerTree(Struct, frozen=True):
    """All paths of a base image, relative to its root, by what is there; no link is followed."""

    directories: Mapping[bytes, Directory]
    """With their modes and owners."""
    links: Mapping[bytes, bytes]
    """Targets."""
    files: frozenset[bytes]
    """Whatever is neither."""

    def __contains__(self, path: bytes) -> bool:
        return path in self.directories or path in self.links or path in self.files

    def follow(self, path: bytes) -> bytes:
        """Where a path leads to, every link followed; the root is `b""`.

        Neither it nor what a link leads to need be there. Raises `RepresentationError` for links
        that go in circles.
        """
        found = resolve(path, lambda at: self.links.get(at[1:], At.DIRECTORY))
        if found.at is At.LOOP:
            raise RepresentationError(
                f"cannot place /{display(path)}: links of the base image lead in circles there"
            )
        return found.path[1:]

    def has(self, path: bytes) -> bool:
        """Whether something is where a path leads to."""
        return self.follow(path) in self

    def under(self, tree: Tree) -> LowerTree:
        """What is there once a tree lies on it."""
        if any(isinstance(entry, Whiteout) for entry in tree):
            return self._without(tree.hides).under(tree.without_marks())
        new = list(tree)
        directories = {**self.directories, **{e.path: e for e in new if isinstance(e, Directory)}}
        links = {**self.links, **{e.path: e.target for e in new if isinstance(e, Symlink)}}
        files = {e.path for e in new if not isinstance(e, Directory | Symlink)}
        return LowerTree(
            {path: e for path, e in directories.items() if path not in files},
            {path: to for path, to in links.items() if path not in files},
            frozenset((self.files - tree.owned.keys()) | files),
        )

    def _without(self, is_hidden: Callable[[bytes], bool]) -> LowerTree:
        return LowerTree(
            {path: e for path, e in self.directories.items() if not is_hidden(path)},
            {path: to for path, to in self.links.items() if not is_hidden(path)},
            frozenset(path for path in self.files if not is_hidden(path)),
        )


NOTHING_BELOW = LowerTree({}, {}, frozenset())
"""Where there is no base image."""
