"""What a popularity index has, in words."""

from __future__ import annotations

from nix2oci import text
from nix2oci.plan.layers.popularity import Popularity
from nix2oci.report.popularity_document import most_shared, shared_packages
from nix2oci.report.terminal.styled import Line, Table, Text


def popularity_text(found: Popularity) -> Text:
    """What the index has, and what is most worth sharing."""
    counts = (
        text.count(len(found.images), "image"),
        text.count(len(shared_packages(found)), "package"),
        text.count(len(found.layers), "shared layer"),
    )
    lines: list[str | Line | Table] = [", ".join(counts), found.digest]
    rows = [
        (shared.package, text.size(shared.size), shared.images, text.size(shared.saved))
        for shared in most_shared(found)
    ]
    if rows:
        lines += ["", Table(("package", "size", "images", "saved by sharing"), rows)]
    return lines
