"""docs/pictures/plan.svg: the layers of the image that README.md opens with.

    PYTHONPATH=tests python tests/support/pictures/plan.py DIRECTORY

Drawn of tests/data/pictures/plan.json, which is what `nix2oci plan --json` printed when
`real.recorded` ran. Layers stand as they lie in the image. A large one has a line of its own, and
so has the application; smaller ones that follow each other share one. Names, colours and limits of
risk are those of the page that `nix2oci plan --html` writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from support.paths import DATA
from support.svg import picture, rect, text, write_pictures

from nix2oci.report.page.labels import LEGEND, colour, name
from nix2oci.text import count, size

WIDTH = 520
_LINE = 25
_NUMBERS, _NAMES, _BARS, _SIZES = 54, 62, 262, WIDTH - 16
"""Where numbers end, where names and bars begin, and where sizes end."""

_SHARE = 0.018
"""A layer with less of all bytes than this is small."""

_STYLE = "".join(f"  .r{step} {{ fill: var(--r{step}); }}\n" for step in range(len(LEGEND)))


@dataclass(frozen=True, slots=True)
class Line:
    """One large layer, or small ones that follow each other."""

    first: int
    """The number of the layer, from 1."""
    names: Sequence[str]
    nar_size: int
    risk: float

    @property
    def title(self) -> str:
        if len(self.names) == 1:
            return self.names[0]
        return f"{count(len(self.names), 'small layer')}"

    @property
    def number(self) -> str:
        last = self.first + len(self.names) - 1
        return str(self.first) if last == self.first else f"{self.first}-{last}"


def lines(document: Any) -> Sequence[Line]:
    """What is drawn of the JSON document of a plan, lowest layer first."""
    roots, least = set(document["roots"]), _SHARE * document["nar_size"]

    def key(at: int) -> int:
        """The same for neighbours that share a line."""
        layer = document["layers"][at]
        alone = layer["nar_size"] >= least or roots & set(layer["paths"])
        return at if alone else -1

    found = []
    for _, group in groupby(range(len(document["layers"])), key):
        members = list(group)
        layers = [document["layers"][at] for at in members]
        names = [", ".join(map(name, layer["paths"])) for layer in layers]
        total = sum(layer["nar_size"] for layer in layers)
        found.append(Line(members[0] + 1, names, total, sum(layer["risk"] for layer in layers)))
    return found


def draw() -> str:
    document = json.loads((DATA / "pictures/plan.json").read_text())
    all_lines = lines(document)
    largest = max(line.nar_size for line in all_lines)
    top, count_of_layers = 58, len(document["layers"])
    bottom = top + _LINE * (len(all_lines) + 1)
    return picture(
        WIDTH,
        bottom + 62,
        f"The {count_of_layers} layers of a plan by size, the interpreter the largest",
        _STYLE,
        text(16, 30, "nix2oci plan", "bold", font_size=16),
        text(_SIZES, 30, _sum(document), "pale", text_anchor="end"),
        *(part for row, line in enumerate(all_lines) for part in _drawn(line, row, top, largest)),
        *_last(count_of_layers + 1, bottom - _LINE),
        *_legend(bottom + 14),
    )


def _sum(document: Any) -> str:
    layers, paths = len(document["layers"]), len(document["sizes"])
    return f"{size(document['nar_size'])}, {count(paths, 'store path')}, {count(layers, 'layer')}"


def _drawn(line: Line, row: int, top: int, largest: int) -> Iterator[str]:
    y = top + _LINE * row
    length = max(2.0, (_SIZES - 72 - _BARS) * line.nar_size / largest)
    is_many = len(line.names) > 1
    yield text(_NUMBERS, y + 12, line.number, "pale", font_size=12, text_anchor="end")
    yield text(_NAMES, y + 12, line.title, "pale" if is_many else "")
    yield rect(_BARS, y, length, 15, rx=2, class_=colour(line.risk))
    yield text(_SIZES, y + 12, size(line.nar_size), "pale", text_anchor="end")


def _last(number: int, y: int) -> Iterator[str]:
    """The layer that no plan counts, since it has no store path."""
    yield text(_NUMBERS, y + 12, str(number), "pale", font_size=12, text_anchor="end")
    yield text(_NAMES, y + 12, "/bin, /etc, launchers")
    yield rect(_BARS, y, 2, 15, rx=2, class_="r0")


def _legend(y: int) -> Iterator[str]:
    yield text(
        16, y + 4, "Risk: share of the bytes that the next update is expected to move", "pale"
    )
    step = (WIDTH - 32) / len(LEGEND)
    for number, words in enumerate(LEGEND):
        x = 16 + step * number
        yield rect(x, y + 16, 12, 12, rx=2, class_=f"r{number}")
        short = words.replace("under ", "< ").replace("25% and more", "≥ 25%")
        yield text(x + 17, y + 27, short, font_size=13)


if __name__ == "__main__":
    write_pictures({"plan.svg": draw()})
