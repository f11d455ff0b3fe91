"""Bytes and numbers for people, the same in a terminal and on a page."""

from __future__ import annotations


def size(count: int) -> str:
    """Bytes for people: `12 B`, `3.4 kB`, `391.0 MB`; powers of 1000, as registries count."""
    if count < 1000:
        return f"{count} B"
    value, units = count / 1000, iter(("kB", "MB", "GB"))
    unit = next(units)
    while value >= 999.95 and unit != "GB":
        value, unit = value / 1000, next(units)
    return f"{value:.1f} {unit}"


def count(number: int, noun: str) -> str:
    """`1 layer`, `2 layers`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
