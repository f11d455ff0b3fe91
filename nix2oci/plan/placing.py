"""What `files` of nix2oci.yaml puts into the last layer, over all else that is there.

Nothing of it is silent: an entry takes the place of links of outputs, of what every image has, and
of files of a base image, as COPY in a Dockerfile does; a directory is merged with one that is
there. What cannot be meant is an error that says where it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from nix2oci.errors import ConfigError, RepresentationError
from nix2oci.model.closure_contents import AT_RUN_TIME
from nix2oci.model.tree import (
    ROOT,
    Directory,
    Entry,
    Owned,
    Symlink,
    Tree,
    Whiteout,
    check_name,
    parents,
)
from nix2oci.plan.overlay.lower_tree import THE_BASE, LowerTree
from nix2oci.text import display

_OF_THE_KERNEL = frozenset({b"dev", b"proc", b"sys"})
_LONGEST = 255
"""Bytes of a name in every file system of Linux."""


class Placed(Struct, frozen=True):
    """An entry that is wanted at its path, links on the way followed; None: nothing is to be there.

    `where` is where that was written, as errors begin.
    """

    path: bytes
    entry: Entry | None
    where: str
    merges: bool = False
    """Of a directory: whether one that is there keeps its owner and mode."""


class _Placing(Struct):
    tree: dict[bytes, Owned]
    below: LowerTree
    store: bytes
    placed: dict[bytes, str] = field(default_factory=dict)
    """Where each was written that is at its place, but for directories that merge."""
    made: set[bytes] = field(default_factory=set)
    unseen: dict[str, bytes] = field(default_factory=dict)
    """Where each was written that something may be mounted over, and over what."""

    def there(self) -> LowerTree:
        return self.below.under(Tree(self.tree))

    def remove(self, wanted: Placed) -> None:
        """Take what the view, an output or the base has at a path, with all that is in it."""
        path = self.place(wanted, self.there())
        gone = [each for each in self.tree if each == path or path in parents(each)]
        if not gone and path not in self.below:
            raise self.error(wanted, "there is nothing at this path that could be absent")
        for each in gone:
            del self.tree[each]
        if path in self.below:
            mark = Whiteout.of(path)
            self.tree[mark.path] = Owned(mark, "files")
            self.made.add(mark.path)
        self.placed[path] = wanted.where

    def put(self, wanted: Placed, entry: Entry, there: LowerTree) -> None:
        path = self.place(wanted, there)
        self.check_is_seen(wanted, path, is_merged=wanted.merges and isinstance(entry, Directory))
        if isinstance(entry, Directory):
            leads_to = there.follow(path)
            if leads_to in there.directories or leads_to == b"":
                self.check_place(wanted, leads_to)
                path = leads_to
                if wanted.merges:
                    return
            elif wanted.merges and self.is_directory(path):
                return
            elif wanted.merges and path not in self.placed:
                self.tree[path] = Owned(replace(entry, path=path), "files")
                self.made.add(path)
                return
        elif self.in_the_way(path):
            raise self.error(wanted, f"/{display(path)} is a directory of the image")
        if isinstance(entry, Symlink) and _climbs(path, entry.target):
            raise self.error(wanted, f"the link to {display(entry.target)} leaves the image")
        other = self.placed.get(path)
        if other is not None:
            raise self.error(wanted, f"/{display(path)} is there twice, as {other} too")
        self.placed[path] = wanted.where
        self.made.add(path)
        self.tree[path] = Owned(replace(entry, path=path), "files")

    def is_directory(self, path: bytes) -> bool:
        there = self.tree.get(path)
        return there is not None and isinstance(there.entry, Directory)

    def in_the_way(self, path: bytes) -> bool:
        """Whether a directory is there that holds something, or is the base's."""
        if path in self.below.directories:
            return True
        return self.is_directory(path) and any(path in parents(each) for each in self.tree)

    def place(self, wanted: Placed, there: LowerTree) -> bytes:
        """Where it really is: the links above are followed, one at the path itself is not."""
        try:
            check_name(wanted.path)
            above, _, name = wanted.path.rpartition(b"/")
            real = there.follow(above)
        except RepresentationError as err:
            raise self.error(wanted, str(err)) from err
        path = real + b"/" + name if real else name
        if max(map(len, path.split(b"/"))) > _LONGEST:
            raise self.error(wanted, f"a name in it is longer than {_LONGEST} bytes")
        self.check_place(wanted, path)
        for each in parents(path):
            if each in there.files:
                raise self.error(wanted, f"/{display(each)} is a file of the image")
        return path

    def check_place(self, wanted: Placed, path: bytes) -> None:
        if self.store in (path, *parents(path)) or path in parents(self.store):
            leads = f" (to which /{display(wanted.path)} leads)" if path != wanted.path else ""
            raise ConfigError(
                f"{wanted.where}: nothing can be put in or above the store, "
                f"and /{display(path)} is{leads}",
                hint="the store has what packages have; choose another path",
            )

    def check_is_seen(self, wanted: Placed, path: bytes, *, is_merged: bool) -> None:
        """Raise for what no container sees; write down what some do not."""
        above = set(parents(path))
        if hidden := (above if is_merged else {path, *above}) & _OF_THE_KERNEL:
            over = f"/{display(min(hidden))}"
            raise self.error(wanted, f"every engine mounts over {over}, so nobody would see it")
        for directory in above & AT_RUN_TIME:
            self.unseen[wanted.where] = directory

    def error(self, wanted: Placed, cause: str) -> ConfigError:
        return ConfigError(f"{wanted.where}: {cause}")


def with_files(
    tree: Tree,
    below: LowerTree,
    wanted: Sequence[Placed],
    store_dir: str,
    warn: Callable[[str], None] = lambda _: None,
) -> Tree:
    """A root that lies over `below`, with these entries and without what is to be absent.

    Raises `ConfigError` for an entry that cannot be where it is wanted; `warn` is told of those
    that are not seen where something is mounted over them.
    """
    if not wanted:
        return tree
    placing = _Placing(dict(tree.owned), below, store_dir[1:].encode())
    for each in wanted:
        if each.entry is None:
            placing.remove(each)
    # Directories come before what is in them, so links are followed once for each depth.
    for group in _by_depth(each for each in wanted if each.entry is not None):
        there = placing.there()
        for each in sorted(group, key=lambda each: each.merges):
            assert each.entry is not None
            placing.put(each, each.entry, there)
    for where, over in placing.unseen.items():
        hidden = f"it is below /{display(over)}, over which podman --read-only, Kubernetes"
        warn(f"warning: {where}: {hidden} and others mount, and is not seen there")
    made = [item for path, item in placing.tree.items() if path in placing.made]
    above = {path for item in made for path in parents(item.entry.path)} - placing.tree.keys()
    directories = placing.there().directories
    of_base = [Owned(e, THE_BASE) for path, e in directories.items() if path in above]
    return Tree.merge([*placing.tree.values(), *of_base])


def _by_depth(wanted: Iterable[Placed]) -> list[list[Placed]]:
    groups: dict[int, list[Placed]] = {}
    for each in wanted:
        depth = each.path.count(b"/") if each.path != ROOT else -1
        groups.setdefault(depth, []).append(each)
    return [groups[depth] for depth in sorted(groups)]


def _climbs(path: bytes, target: bytes) -> bool:
    """Whether a link has more `..` than there are directories above it."""
    depth = 0 if target.startswith(b"/") else path.count(b"/")
    for part in target.split(b"/"):
        depth += -1 if part == b".." else part not in (b"", b".")
        if depth < 0:
            return True
    return False
