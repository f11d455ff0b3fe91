"""What outputs have that the root does not show, as lines."""

from __future__ import annotations

from collections.abc import Iterator

from nix2oci.model.closure_contents import ClosureContents
from nix2oci.text import and_more, display

_SHOWN = 6


def lines(found: ClosureContents) -> Iterator[str]:
    """A line for each output that has more than bin/, etc/ and what no root shows."""
    for each in found.left_out:
        parts = []
        if each.names:
            parts.append(f"{_named(each.names)}, in the store alone: the root has bin/ and etc/")
        if each.of_the_engine:
            parts.append(f"{_named(each.of_the_engine)}, left out: engines lay their own over it")
        yield f"{each.owner.name} also has {'; and '.join(parts)}"


def _named(names: tuple[bytes, ...]) -> str:
    return and_more([display(name) for name in names], _SHOWN)
