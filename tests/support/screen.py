"""What a terminal shows at the end of what programs wrote to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import groupby

_TOKEN = re.compile(r"\x1b\[(?P<values>[?\d;]*)(?P<order>[A-Za-z])|(?P<plain>[^\x1b])")
_SGR_RESET = ("", "0")

Cell = tuple[str, str]
"""A character, and the SGR order that gives its style; `""` is none."""


@dataclass(slots=True)
class Screen:
    """A terminal that is as wide as `columns` and as high as needed.

    It knows what progress bars write: styles, the start of the line, lines above, what is erased.
    """

    columns: int
    _lines: list[list[Cell]] = field(default_factory=lambda: [[]])
    _row: int = 0
    _column: int = 0
    _style: str = ""

    def write(self, data: str) -> None:
        at = 0
        while at < len(data):
            token = _TOKEN.match(data, at)
            if token is None:
                raise ValueError(f"no order that is known here: {data[at : at + 9]!r}")
            if token["plain"]:
                self._put(token["plain"])
            else:
                self._obey(token["order"], token["values"])
            at = token.end()

    def lines(self) -> list[str]:
        """Every line to its last character, with the orders that give it its style."""
        shown = ["".join(_styled(line)).rstrip() for line in self._lines]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def _put(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._to_row(self._row + 1)
        elif character.isprintable():
            if self._column == self.columns:
                self._to_row(self._row + 1)
                self._column = 0
            line = self._lines[self._row]
            line += [(" ", "")] * (self._column + 1 - len(line))
            line[self._column] = (character, self._style)
            self._column += 1
        else:
            raise ValueError(f"no character that is known here: {character!r}")

    def _to_row(self, row: int) -> None:
        self._row = row
        self._lines += [[] for _ in range(row + 1 - len(self._lines))]

    def _obey(self, order: str, values: str) -> None:
        match order, values:
            case "m", _:
                self._style = "" if values in _SGR_RESET else f"{self._style}\x1b[{values}m"
            case "K", "" | "0":
                del self._lines[self._row][self._column :]
            case "K", "2":
                self._lines[self._row].clear()
            case "A", _:
                self._row = max(0, self._row - int(values or 1))
            case (("h" | "l"), "?25"):  # whether the cursor is seen
                pass
            case _:
                raise ValueError(f"no order that is known here: {values}{order}")


def _styled(line: list[Cell]) -> list[str]:
    parts = []
    for style, cells in groupby(line, key=lambda cell: cell[1]):
        words = "".join(character for character, _ in cells)
        parts.append(f"{style}{words}\x1b[0m" if style else words)
    return parts
