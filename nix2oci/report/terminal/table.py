"""Rows of values as columns of text."""

from __future__ import annotations

from collections.abc import Sequence

from nix2oci.text import printable


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns two spaces apart; a column of numbers and sizes is right-aligned."""
    texts = [[printable(str(cell)) for cell in row] for row in (headings, *rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    right = [all(_is_quantity(cell) for cell in column[1:]) for column in zip(*texts, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in texts
    ]
    return "\n".join(lines)


def _is_quantity(text: str) -> bool:
    return text.lstrip("+-")[:1].isdigit() and text.rsplit(" ", maxsplit=1)[-1] in {
        text,
        "B",
        "kB",
        "MB",
        "GB",
    }
