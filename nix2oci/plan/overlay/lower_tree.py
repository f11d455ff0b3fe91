"""The files of a base image, as far as it matters what is laid over them.

The hard part is a linked directory: an entry `bin/app` in a layer above `bin -> usr/bin` takes the
link's place and hides what is behind it (image-spec, layer.md, Changeset over existing files). So
every path is followed to where it really is before anything is put there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nix2oci.errors import RepresentationError
from nix2oci.model.tree import Directory
from nix2oci.text import display

_MOST_LINKS = 40
"""As the kernel has it (path_resolution(7))."""


@dataclass(frozen=True, slots=True)
class LowerTree:
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
        waiting = [part for part in reversed(path.split(b"/")) if part]
        here: list[bytes] = []
        links = 0
        while waiting:
            part = waiting.pop()
            if part in (b".", b".."):
                here = here[: -1 if part == b".." else None]
                continue
            target = self.links.get(b"/".join((*here, part)))
            if target is None:
                here.append(part)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise RepresentationError(
                    f"cannot place /{display(path)}: links of the base image lead in circles there"
                )
            here = [] if target.startswith(b"/") else here
            waiting += [part for part in reversed(target.split(b"/")) if part]
        return b"/".join(here)

    def has(self, path: bytes) -> bool:
        """Whether something is where a path leads to."""
        return self.follow(path) in self
