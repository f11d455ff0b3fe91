"""What a layer takes away of the layers below it (image-spec layer.md, Whiteouts)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from nix2oci.model.tree import OPAQUE, WHITEOUT, parents

T = TypeVar("T")


def is_whiteout(path: bytes) -> bool:
    """Whether a path, or a directory above it, has a name that is kept for marks."""
    return any(part.startswith(WHITEOUT) for part in path.split(b"/"))


def target_of(mark: bytes) -> tuple[bytes, bool]:
    """The path that a mark is about, and whether that stays and only what is in it goes."""
    above, _, name = mark.rpartition(b"/")
    if name == OPAQUE:
        return above, True
    return (above + b"/" if above else b"") + name.removeprefix(WHITEOUT), False


class Hidden(Struct, frozen=True):
    """Paths of lower layers that nobody sees any more; all paths are relative to the root."""

    whole: frozenset[bytes]
    """These, and all that is in them."""
    inside: frozenset[bytes]
    """Directories that stay empty; `b""` is the root."""

    @classmethod
    def by(cls, marks: Iterable[bytes], replaced: Iterable[bytes] = ()) -> Hidden:
        """What the marks of a layer hide, and what it has put other things in the place of."""
        targets = [target_of(mark) for mark in marks]
        whole = frozenset(path for path, is_opaque in targets if not is_opaque)
        inside = frozenset(path for path, is_opaque in targets if is_opaque)
        return cls(whole.union(replaced), inside)

    def __bool__(self) -> bool:
        return bool(self.whole or self.inside)

    def __contains__(self, path: bytes) -> bool:
        if b"" in self.inside or path in self.whole:
            return True
        return any(above in self.whole or above in self.inside for above in parents(path))


def lay_over(
    below: dict[bytes, T],
    nodes: Mapping[bytes, T],
    marks: Iterable[bytes],
    is_directory: Callable[[T], bool],
) -> dict[bytes, T]:
    """What a layer of these nodes and marks makes of the nodes below, which are used up.

    Marks are about lower layers alone. What is no directory hides all that was in one.
    """
    replaced = (
        path
        for path, node in nodes.items()
        if path in below and is_directory(below[path]) and not is_directory(node)
    )
    if hidden := Hidden.by(marks, replaced):
        below = {path: node for path, node in below.items() if path not in hidden}
    below |= nodes
    return below


def topmost(layers: Sequence[Hashable]) -> list[int]:
    """Where each layer lies highest: all that is below itself again is hidden by it."""
    return sorted({layer: number for number, layer in enumerate(layers)}.values())
