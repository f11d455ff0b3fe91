"""Directories that the program of an image is to find and to write to.

An engine that mounts a volume takes owner and mode from the image; where the image has no such
directory, it makes one that is root's (moby/moby#2259). The same holds for the working directory.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from msgspec.structs import replace

from nix2oci.errors import ConfigError
from nix2oci.model.tree import Directory, Entry, File, Owned, Tree, parents
from nix2oci.plan.overlay.lower_tree import THE_BASE, LowerTree
from nix2oci.text import display

_AT_RUN_TIME = (b"dev", b"proc", b"run", b"sys", b"tmp")
"""Engines and Kubernetes mount over these, so that what is below them is not seen."""


def missing_directories(
    there: LowerTree, paths: Iterable[str], store_dir: str, made: Container[bytes] = ()
) -> list[bytes]:
    """Where the directories of these absolute paths are to be made; links are followed.

    Nothing is made that is there, unless it was `made` only for what outputs have in it, nor at or
    above the store, nor below it or what is mounted when a container starts. Raises `ConfigError`
    where a file is in the way, and what `LowerTree.follow` raises.
    """
    store = store_dir[1:].encode()
    found: dict[bytes, None] = {}
    for path in paths:
        place = there.follow(path.encode())
        above = {place, *parents(place)}
        if {store, *_AT_RUN_TIME} & above or place in parents(store):
            continue
        if in_the_way := above & there.files:
            raise ConfigError(
                f"cannot make the directory {path}: "
                f"/{display(min(in_the_way))} is a file of the image",
                hint="volumes and workdir name directories",
            )
        if place and (place not in there.directories or place in made):
            found[place] = None
    return list(found)


def with_writable(
    tree: Tree, lower: LowerTree, places: Iterable[bytes], owner: tuple[int, int]
) -> Tree:
    """A root that lies over `lower`, with these directories of 0755 and that uid and gid.

    The directories above them are those of the root or of `lower`, else they are root's.
    """
    made = [Owned(Directory(place, 0o755, *owner), "volumes and workdir") for place in places]
    return _with(tree, lower, made)


def with_group_0(tree: Tree, lower: LowerTree, places: Container[bytes], uid: int) -> Tree:
    """A root that lies over `lower`, with what is that user's as after `chgrp 0` and `chmod g=u`.

    Of `lower` that is done to the directories at `places` alone.
    """
    of_base = [Owned(e, THE_BASE) for path, e in lower.directories.items() if path in places]
    found = [*(item for item in of_base if item.entry.path not in tree.owned), *tree.owned.values()]
    shared = [
        item
        if item.owner == THE_BASE and item.entry.path not in places
        else Owned(_shared(item.entry, uid), item.owner)
        for item in found
    ]
    return _with(Tree({}), lower, shared)


def _shared(entry: Entry, uid: int) -> Entry:
    if not isinstance(entry, File | Directory) or entry.uid != uid:
        return entry
    mode = entry.mode & ~0o070 | (entry.mode & 0o700) >> 3
    if isinstance(entry, File):
        mode &= ~0o6000  # the kernel takes setuid and setgid when a file changes hands, chown(2)
    return replace(entry, mode=mode, gid=0)


def _with(tree: Tree, lower: LowerTree, made: Sequence[Owned]) -> Tree:
    """A root with more entries; the directories above them are as `lower` has them."""
    above = {above for item in made for above in parents(item.entry.path)} - tree.owned.keys()
    above -= {item.entry.path for item in made}
    below = [Owned(e, THE_BASE) for path, e in lower.directories.items() if path in above]
    others = tree.owned.keys() - {item.entry.path for item in made}
    return Tree.merge([*(tree.owned[path] for path in others), *below, *made])
