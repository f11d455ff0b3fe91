"""docs/pictures/rooms.svg: the arrow of a build, and which room imports which.

    PYTHONPATH=tests python tests/support/pictures/rooms.py DIRECTORY

The values and the rooms, with their order, are those of the tables of docs/architecture.md; the
arrows are the imports of nix2oci. One that follows from others is not drawn: where a room is
reached by way of a second one, it may be imported as well.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from support.paths import DOCS, ROOT
from support.svg import path, picture, rect, text, write_pictures

Graph = Mapping[str, frozenset[str]]
"""The rooms that each room imports; the rooms in the order of the table."""

WIDTH = 560
_ROW, _BOX = 76, 40
"""How far rows of rooms are apart, and how high a room is."""

_STYLE = """\
  .room { fill: var(--field); stroke: var(--pale); }
  .pure { fill: var(--r1); }
  .value { fill: var(--paper); stroke: var(--pale); }
  .arrow { fill: none; stroke: var(--pale); stroke-width: 1.4; marker-end: url(#head); }
  #head path { fill: var(--pale); }
"""
_HEAD = (
    '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
    ' orient="auto"><path d="M0 0 8 4 0 8z"/></marker>'
)


@dataclass(frozen=True, slots=True)
class Room:
    name: str
    asked: str
    """What is asked there, as the table says."""


def table(heading: str) -> Iterator[list[str]]:
    """The cells of the rows of the first table below a heading of docs/architecture.md."""
    page = (DOCS / "architecture.md").read_text()
    lines = page.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    return ([cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[1:])


def rooms() -> Sequence[Room]:
    return [Room(re.sub(r"`|/|\.py", "", name), asked) for name, asked in table("The rooms")]


def imports(top: Path, names: Sequence[str]) -> Graph:
    """Which of the rooms with these names imports which, by the source below `top`."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for file in sorted(top.rglob("*.py")):
        room = file.relative_to(top).parts[0].removesuffix(".py")
        if room in found:
            found[room] |= set(_imported(ast.parse(file.read_text()))) & set(names) - {room}
    return {name: frozenset(others) for name, others in found.items()}


def _imported(tree: ast.Module) -> Iterator[str]:
    """The room of each import of ours in a file, by its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            package, _, rest = name.partition(".")
            if package == "nix2oci":
                yield rest.partition(".")[0]


def reduced(graph: Graph) -> Graph:
    """Without the imports that follow from others; the graph has no circle."""

    @cache
    def reached(room: str) -> frozenset[str]:
        return graph[room].union(*map(reached, graph[room]))

    return {
        room: others - frozenset().union(*(reached(other) for other in others))
        for room, others in graph.items()
    }


def rows(graph: Graph) -> Sequence[Sequence[str]]:
    """The rooms, each in the first row that is below all that it imports."""

    @cache
    def depth(room: str) -> int:
        return max((1 + depth(other) for other in graph[room]), default=0)

    last = max(map(depth, graph))
    return [[room for room in graph if depth(room) == row] for row in range(last + 1)]


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything is: the middle of each room, and of the gaps that long arrows pass."""

    rooms: Mapping[str, tuple[float, int]]
    gaps: Mapping[tuple[str, int], tuple[float, int]]
    """By the room that an arrow leads to, and the row that it passes."""


def places(graph: Graph) -> Places:
    order = [list(row) for row in rows(graph)]
    row_of = {room: number for number, row in enumerate(order) for room in row}
    spots: dict[str, tuple[float, int]] = {}
    gaps: dict[tuple[str, int], tuple[float, int]] = {}
    for number, row in enumerate(order):
        passing = sorted(
            {
                other
                for room, others in graph.items()
                for other in others
                if row_of[other] < number < row_of[room]
            },
            key=lambda other: spots[other][0],
        )
        for other in passing:  # where it is nearest to what it leads to
            above = gaps.get((other, number - 1), spots[other])[0]
            row.insert(round(above / WIDTH * len(row)), f"> {other}")
        for at, name in enumerate(row):
            spot = (WIDTH * (at + 0.5) / len(row), number)
            if name.startswith("> "):
                gaps[name.removeprefix("> "), number] = spot
            else:
                spots[name] = spot
    return Places(spots, gaps)


def arrows(graph: Graph, at: Places, top: int) -> Iterator[str]:
    """A line from each room up to what it imports, each with its own end at the room's edge."""
    pairs = [(room, other) for room, others in graph.items() for other in others]
    pairs.sort(key=lambda pair: (at.rooms[pair[0]][0], at.rooms[pair[1]][0], pair))
    ends = {other: [pair for pair in pairs if pair[1] == other] for other in graph}
    for room, other in pairs:
        x, row = at.rooms[room]
        goal, goal_row = at.rooms[other]
        through = [at.gaps[other, between] for between in range(row - 1, goal_row, -1)]
        number, count = ends[other].index((room, other)), len(ends[other])
        goal += 70 * ((number + 1) / (count + 1) - 0.5)
        stops = [(x, float(top + _ROW * row))]
        for gap, between in through:
            stops += [(gap, top + _ROW * between + _BOX + 0.0), (gap, top + _ROW * between + 0.0)]
        stops.append((goal, top + _ROW * goal_row + _BOX + 1.0))
        yield path(_curve(stops), class_="arrow")


def _curve(stops: Sequence[tuple[float, float]]) -> str:
    steps = f"M{stops[0][0]:.0f} {stops[0][1]:.0f}"
    for (x, y), (to_x, to_y) in pairwise(stops):
        middle = (y + to_y) / 2
        steps += f" C{x:.0f} {middle:.0f} {to_x:.0f} {middle:.0f} {to_x:.0f} {to_y:.0f}"
    return steps


def boxes(all_rooms: Sequence[Room], at: Places, top: int) -> Iterator[str]:
    for room in all_rooms:
        x, row = at.rooms[room.name]
        y = top + _ROW * row
        class_ = "room pure" if room.asked.endswith("pure") else "room"
        yield rect(x - 56, y, 112, _BOX, rx=6, class_=class_)
        role = re.match(r"(in|between|out):", room.asked)
        middle = {"text_anchor": "middle"}
        yield text(x, y + (18 if role else 25), room.name, "bold", **middle)
        if role:
            yield text(x, y + 33, role[1], "pale", font_size=12, **middle)


def values(names: Sequence[str]) -> Iterator[str]:
    """The values of a build, four in a row, with the rooms that make them."""
    for number, (value, _, makers) in enumerate(table("The eight values of a build")):
        x, y = 16 + 134 * (number % 4), 44 + 66 * (number // 4)
        made_in = [name for name in names if re.search(rf"`{name}[/.]", makers)]
        yield rect(x, y, 116, 46, rx=6, class_="value")
        yield text(x + 58, y + 20, value, "bold", text_anchor="middle")
        yield text(x + 58, y + 37, ", ".join(made_in), "pale", font_size=12, text_anchor="middle")
        if number % 4:
            yield path(f"M{x - 18} {y + 23} H{x - 3}", class_="arrow")
        elif number:
            back = f"M476 {y - 20} V{y - 10} H{x + 58} V{y - 3}"
            yield path(back, class_="arrow")


def draw() -> str:
    all_rooms = rooms()
    names = [room.name for room in all_rooms]
    graph = reduced(imports(ROOT / "nix2oci", names))
    at, top = places(graph), 214
    height = top + _ROW * len(rows(graph)) + 18
    return picture(
        WIDTH,
        height,
        "The values of a build, and which room of nix2oci imports which",
        _STYLE,
        f"<defs>{_HEAD}</defs>",
        text(16, 28, "A build: eight values, and the rooms that make them", "bold"),
        *values(names),
        text(16, top - 14, "An arrow leads to the room that is imported", "bold"),
        *arrows(graph, at, top),
        *boxes(all_rooms, at, top),
        rect(16, height - 36, 22, 14, rx=3, class_="room pure"),
        text(46, height - 24, "pure; an arrow that follows from others is left out", "pale"),
    )


if __name__ == "__main__":
    write_pictures({"rooms.svg": draw()})
