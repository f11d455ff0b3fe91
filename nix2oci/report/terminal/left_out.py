"""What outputs have that the root does not show, as lines."""

from __future__ import annotations

from collections.abc import Iterator

from nix2oci.model.closure_contents import ClosureContents, LeftOut, Reason
from nix2oci.text import and_more, display

_SHOWN = 6
_WHY = {
    Reason.FURNITURE: "in the store alone",
    Reason.OF_THE_ENGINE: "left out: the engine brings its own",
    Reason.MOUNTED: "in the store alone: engines mount over such directories",
    Reason.IN_THE_WAY: "in the store alone: the root has another directory there",
}


def lines(found: ClosureContents, *, every: bool = False) -> Iterator[str]:
    """A line for each output that has something that the root does not show.

    What all packages have (`share`, `lib`) is told of a package only with `every`.
    """
    for each in found.left_out:
        parts = list(_parts(each, every=every))
        if parts:
            yield f"{each.owner.name} also has {'; and '.join(parts)}"


def _parts(left: LeftOut, *, every: bool) -> Iterator[str]:
    told = [
        (name, reason)
        for name, reason in left.names.items()
        if every or not (reason is Reason.FURNITURE and left.is_package and b"/" not in name)
    ]
    for reason, why in _WHY.items():
        if names := [display(name) for name, is_why in told if is_why is reason]:
            yield f"{and_more(names, _SHOWN)}, {why}"
