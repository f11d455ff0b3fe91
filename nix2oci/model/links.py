"""Where a path leads when its symbolic links are followed, as the kernel does it.

What is at a path is asked for, so that the same rules hold for a store, an image and a base.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

MAX_LINKS = 40
"""As many as Linux follows before it says ELOOP (path_resolution(7))."""


class At(Enum):
    """What is at a path that is no link; or why following ended there."""

    DIRECTORY = auto()
    FILE = auto()
    """Whatever is neither a directory nor a link."""
    NOTHING = auto()
    OUTSIDE = auto()
    """A place that does not count, such as one outside of the store."""
    LOOP = auto()
    """More than `MAX_LINKS` links."""


Look = Callable[[bytes], bytes | At]
"""What is at an absolute path whose directories are no links: the target of a link, or `At`."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Where following ended: an absolute path without links, `b""` for the root."""

    path: bytes
    at: At

    @property
    def exists(self) -> bool:
        return self.at in (At.DIRECTORY, At.FILE)


def resolve(path: bytes, look: Look, start: bytes = b"") -> Resolved:
    """Follow a path from the directory `start`, by default the root.

    A directory that nobody can look at, such as the root, is taken for one. What follows a file
    leads nowhere.
    """
    here, at, links = start, At.DIRECTORY, 0
    todo = path.split(b"/")[::-1]
    while todo:
        if at is not At.DIRECTORY:
            return Resolved(here, At.NOTHING if at is At.FILE else at)
        part = todo.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            here = here.rpartition(b"/")[0]
            continue
        found = look(here + b"/" + part)
        if isinstance(found, At):
            here, at = here + b"/" + part, found
            continue
        links += 1
        if links > MAX_LINKS:
            return Resolved(here, At.LOOP)
        here = b"" if found.startswith(b"/") else here
        todo += found.split(b"/")[::-1]
    return Resolved(here, at)
