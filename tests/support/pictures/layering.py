"""docs/pictures/layering-*.svg: how planners compare, drawn of tests/bench/results/layering.json.

    PYTHONPATH=tests python tests/support/pictures/layering.py DIRECTORY

`./dev bench-layering` measures. What each chart shows, docs/layering.md says; the numbers are in
docs/layering-figures.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from bench.layering.claims import METRICS
from bench.layering.moved_bytes import SCHEMES
from bench.layering.results import Moved, Results
from support.svg import path, picture, rect, text, write_pictures

WIDTH = 520
_LINE, _TOP = 27, 62
_NAMES, _PLOT, _END = 16, 186, WIDTH - 24
_COLOURS = {"10": "r3", "25": "r4", "50": "r5"}
_SUM = len(METRICS)
_TICKS = (4.1, 4.3, 5, 7, 12, 20)
_OURS = "ours"
_STYLE = "".join(f"  .r{step} {{ fill: var(--r{step}); }}\n" for step in (3, 4, 5))
_STYLE += "  .line { stroke: var(--line); fill: none; }\n  .end { text-anchor: end; }\n"
_STYLE += "  .mid { text-anchor: middle; }\n  .bar { fill: var(--r4); }\n"
_STYLE += "  .other { fill: var(--r0); }\n"


# --- a fleet: a row for each planner, a dot for each budget ----------------------------------


def _at_once(rows: Mapping[str, Sequence[float]]) -> Mapping[str, Sequence[float]]:
    """Without those that differ in later states alone, of which no chart shows anything."""
    return {name: row for name, row in rows.items() if not name.endswith("plan-from")}


def fleet_chart(name: str, tables: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """The sum of the metrics by planner; the least that is possible, 4, is far to the left."""
    planners = list(next(iter(tables.values())))
    bottom = _TOP + _LINE * len(planners)
    parts = [text(_NAMES, 28, f"{name} fleet: bytes stored and pushed", "bold"), *_legend()]
    for tick in _TICKS:
        x = _place(tick)
        parts.append(path(f"M{x:.1f} {_TOP - 12}V{bottom - 8}", class_="line"))
        parts.append(text(x, bottom + 10, f"{tick:g}", "pale mid"))
    for row, planner in enumerate(planners):
        sums = {budget: rows[planner][_SUM] for budget, rows in tables.items()}
        parts += _dots(planner, sums, _TOP + 5 + _LINE * row)
    parts.append(
        text(_END, bottom + 32, "sum of the four metrics; 4 is the least possible", "pale end")
    )
    said = "; ".join(
        f"{planner} {', '.join(f'{rows[planner][_SUM]:.2f}' for rows in tables.values())}"
        for planner in planners
    )
    title = f"Sum of the metrics on the {name} fleet with {', '.join(tables)} layers: {said}"
    return picture(WIDTH, bottom + 46, title, _STYLE, *parts)


def _place(value: float) -> float:
    """Where a sum is: by the logarithm of what it is above the least."""
    first, last = (math.log(tick - 4) for tick in (_TICKS[0], _TICKS[-1]))
    share = (math.log(max(value - 4, 0.05)) - first) / (last - first)
    return _PLOT + 12 + share * (_END - _PLOT - 20)


def _dots(planner: str, sums: Mapping[str, float], y: int) -> Iterator[str]:
    yield text(_NAMES, y, planner, "bold" if planner.startswith(_OURS) else "")
    places = [_place(each) for each in sums.values()]
    yield path(f"M{min(places):.1f} {y - 5}H{max(places):.1f}", class_="line")
    for budget, x in zip(sums, places, strict=True):
        yield _dot(x, y - 5, _COLOURS[budget])


def _dot(x: float, y: float, class_: str) -> str:
    return rect(x - 5, y - 5, 10, 10, rx=5, class_=class_)


def _legend() -> Iterator[str]:
    x = _END - 84 * len(_COLOURS)
    for budget, colour in _COLOURS.items():
        x += 84
        yield text(x, 46, f"{budget} layers", "pale end", font_size=12)
        yield _dot(x - 68, 42, colour)


# --- bars with their numbers -----------------------------------------------------------------


def metrics_chart(rows: Mapping[str, Sequence[float]]) -> str:
    """Each metric by planner, as far as it is above 1."""
    step = (_END - _PLOT + 16) / len(METRICS)
    bottom = _TOP + _LINE * len(rows)
    parts = [text(_NAMES, 26, "Large fleet, 25 layers: each of the four", "bold")]
    parts.append(text(_END, 26, "bars by logarithm", "pale end", font_size=12))
    for number, metric in enumerate(METRICS):
        left = _PLOT + step * number
        parts.append(text(left, _TOP - 14, metric, "pale"))
        for row, (planner, cells) in enumerate(rows.items()):
            y, value = _TOP + 5 + _LINE * row, cells[number]
            length = min(1.0, math.log(value) / math.log(5)) * (step - 44)
            class_ = "bar" if planner.startswith(_OURS) else "other"
            parts.append(rect(left, y - 12, max(1.5, length), 14, class_=class_))
            parts.append(text(left + max(1.5, length) + 4, y, f"{value:.2f}", font_size=12))
    for row, planner in enumerate(rows):
        class_ = "bold" if planner.startswith(_OURS) else ""
        parts.append(text(_NAMES, _TOP + 5 + _LINE * row, planner, class_))
    said = "; ".join(
        f"{planner} {', '.join(f'{cell:.2f}' for cell in cells[: len(METRICS)])}"
        for planner, cells in rows.items()
    )
    title = f"{', '.join(METRICS)} on the large fleet with 25 layers, 1 being the least: {said}"
    return picture(WIDTH, bottom + 8, title, _STYLE, *parts)


def moved_chart(moved: Moved) -> str:
    """Bytes that a client moves by change and scheme, with our plan."""
    parts = [text(_NAMES, 28, f"What a client moves: {moved.about}", "bold")]
    most = max(max(planners[_OURS].values()) for planners in moved.sizes.values())
    y, said = 58, []
    for change, planners in moved.sizes.items():
        parts.append(text(_NAMES, y, change, "pale"))
        for scheme in SCHEMES:
            y += 22
            size = planners[_OURS][scheme]
            length = max(1.5, size / most * (_END - _PLOT - 70))
            parts.append(text(_NAMES + 12, y, _SCHEMES[scheme], "bold" if scheme == _OURS else ""))
            class_ = "bar" if scheme == _OURS else "other"
            parts.append(rect(_PLOT, y - 12, length, 14, class_=class_))
            parts.append(text(_PLOT + length + 6, y, _megabytes(size), font_size=12))
        said.append(f"{change}: {', '.join(_said(planners[_OURS]))}")
        y += 34
    title = f"Bytes that a client moves of {moved.about}. {'; '.join(said)}"
    return picture(WIDTH, y - 18, title, _STYLE, *parts)


_SCHEMES = {
    "layers": "whole layers",
    "files": "whole files",
    "fixed chunks": "fixed chunks",
    "ours": "our chunks",
}


def _said(sizes: Mapping[str, int]) -> Iterator[str]:
    return (f"{_SCHEMES[scheme]} {_megabytes(sizes[scheme])}" for scheme in SCHEMES)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.0f} kB"


def charts(results: Results) -> dict[str, str]:
    """All of them by name."""
    found = {
        f"layering-{name.replace(' ', '-')}.svg": fleet_chart(
            name.capitalize(), {budget: _at_once(rows) for budget, rows in tables.items()}
        )
        for name, tables in results.tables.items()
    }
    found["layering-metrics.svg"] = metrics_chart(_at_once(results.tables["large"]["25"]))
    if results.moved:
        found["layering-moved.svg"] = moved_chart(results.moved)
    return found


if __name__ == "__main__":
    write_pictures(charts(Results.read()))
