"""What a popularity index has, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nix2oci import text
from nix2oci.cli.render.table import table
from nix2oci.plan.layers.popularity import Popularity

_SHOWN = 10
"""Packages that are named as the most worth sharing."""


@dataclass(frozen=True, slots=True)
class _Shared:
    """A package that images have in common."""

    package: str
    size: int
    images: int

    @property
    def saved(self) -> int:
        """Bytes that sharing saves."""
        return self.size * (self.images - 1)


def _shared(found: Popularity) -> list[_Shared]:
    """Those most worth sharing first."""
    packages = (
        _Shared(package, size, len(group.images))
        for group in found.groups
        for package, size in group.packages.items()
    )
    return sorted(packages, key=lambda shared: (-shared.saved, shared.package))


def _most_shared(found: Popularity) -> Iterator[_Shared]:
    return (shared for shared in _shared(found)[:_SHOWN] if shared.saved)


def popularity_document(found: Popularity) -> dict[str, object]:
    """What `--json` prints."""
    return {
        "digest": found.digest,
        "images": len(found.images),
        "packages": len(_shared(found)),
        "groups": len(found.groups),
        "layers": len(found.layers),
        "most": [
            {
                "package": shared.package,
                "nar_size": shared.size,
                "images": shared.images,
                "saved": shared.saved,
            }
            for shared in _most_shared(found)
        ],
    }


def popularity_text(found: Popularity) -> str:
    """The same for people."""
    counts = (
        text.count(len(found.images), "image"),
        text.count(len(_shared(found)), "package"),
        text.count(len(found.layers), "shared layer"),
    )
    lines = [", ".join(counts), found.digest]
    rows = [
        (shared.package, text.size(shared.size), shared.images, text.size(shared.saved))
        for shared in _most_shared(found)
    ]
    if rows:
        lines += ["", table(("package", "size", "images", "saved by sharing"), rows)]
    return "\n".join(lines)
