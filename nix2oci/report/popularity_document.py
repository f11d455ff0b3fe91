"""What a popularity index has, as `--json` prints it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nix2oci.plan.layers.popularity import Popularity

_SHOWN = 10
"""Packages that are named as the most worth sharing."""


@dataclass(frozen=True, slots=True)
class SharedPackage:
    """A package that images have in common."""

    package: str
    size: int
    images: int

    @property
    def saved(self) -> int:
        """Bytes that sharing saves."""
        return self.size * (self.images - 1)


def shared_packages(found: Popularity) -> list[SharedPackage]:
    """Those most worth sharing first."""
    packages = (
        SharedPackage(package, size, len(group.images))
        for group in found.groups
        for package, size in group.packages.items()
    )
    return sorted(packages, key=lambda shared: (-shared.saved, shared.package))


def most_shared(found: Popularity) -> Iterator[SharedPackage]:
    """Those that are worth naming."""
    return (shared for shared in shared_packages(found)[:_SHOWN] if shared.saved)


def popularity_document(found: Popularity) -> dict[str, object]:
    """What the index has, and what is most worth sharing; sizes in bytes of NAR."""
    return {
        "digest": found.digest,
        "images": len(found.images),
        "packages": len(shared_packages(found)),
        "groups": len(found.groups),
        "layers": len(found.layers),
        "most": [
            {
                "package": shared.package,
                "nar_size": shared.size,
                "images": shared.images,
                "saved": shared.saved,
            }
            for shared in most_shared(found)
        ],
    }
