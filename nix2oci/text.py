"""Text for people, the same in a terminal, in a message and on a page: sizes, counts, names."""

from __future__ import annotations

from collections.abc import Sequence


def size(count: int) -> str:
    """Bytes for people: `12 B`, `3.4 kB`, `391.0 MB`; powers of 1000, as registries count."""
    if count < 1000:
        return f"{count} B"
    if count >= 10**15:  # what others say may be more than a float can be
        return f"{count // 10**9}.0 GB"
    value, units = count / 1000, iter(("kB", "MB", "GB"))
    unit = next(units)
    while value >= 999.95 and unit != "GB":
        value, unit = value / 1000, next(units)
    return f"{value:.1f} {unit}"


def count(number: int, noun: str) -> str:
    """`1 layer`, `2 layers`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def display(path: bytes) -> str:
    """A name as it can be shown in one line: control characters and stray bytes escaped."""
    return printable(path.decode("utf-8", "backslashreplace"))


def printable(text: str, *, keep: str = "") -> str:
    """The text with every character escaped that a terminal could take as an order.

    Those are control characters, what changes the direction of writing, lone surrogates and spaces
    that look like others; those in `keep` stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


def and_more(names: Sequence[str], limit: int | None) -> str:
    """The first `limit` names, and how many are left: `a, b, c and 2 more`; None is all of them."""
    rest = more(len(names), limit)
    return ", ".join(names[:limit]) + (f" {rest}" if rest else "")


def more(total: int, limit: int | None) -> str:
    """`and 2 more`, where `limit` of `total` are shown; empty where all are."""
    return f"and {total - limit} more" if limit is not None and total > limit else ""
