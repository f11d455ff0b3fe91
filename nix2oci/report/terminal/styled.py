"""Text with styles: what renderers give, for a terminal as for a file.

A text is a sequence of lines and tables. A line without styles is a `str`; nothing in it, or in a
cell, gives orders to a terminal: whoever prints it escapes it, newlines too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Style = Literal["", "bold", "green", "red", "yellow", "blue", "cyan"]


class Span(Struct, frozen=True):
    """Characters of one style."""

    text: str
    style: Style = ""
    short: str = ""
    """What a terminal gets in place of the text, where that is not empty."""

    def __str__(self) -> str:
        return self.text


Line = tuple[Span, ...]


class Table(Struct, frozen=True):
    """Rows of values in columns; a `Span` gives its cell a style."""

    headings: Sequence[str]
    rows: Sequence[Sequence[object]]


Text = Sequence[str | Line | Table]
