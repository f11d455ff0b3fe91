"""docs/layering-figures.md, made of what `./dev bench-layering` found.

PYTHONPATH=tests python -m bench.layering.page >docs/layering-figures.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.layering.claims import LATER, METRICS
from bench.layering.moved_bytes import SCHEMES
from bench.layering.results import Moved, Results

_HEAD = """\
# Layering: figures

What the charts of [layering](layering.md#results) are drawn of.
Fleets and columns are explained there.
`./dev bench-layering` measures, and this page is made of what it found.
"""


def page(results: Results) -> str:
    """The whole page."""
    parts = [_HEAD]
    for fleet, tables in results.tables.items():
        parts += (_table(f"{fleet.capitalize()}, {b} store layers", t) for b, t in tables.items())
    if results.moved:
        parts += _moved(results.moved)
    return "\n".join(parts)


def _table(title: str, rows: Mapping[str, Sequence[float]]) -> str:
    columns = [*METRICS, "sum", *LATER]
    best = [min(column) for column in zip(*rows.values(), strict=True)]
    lines = [f"## {title}\n", _line("", columns), f"|---{'|--:' * len(columns)}|"]
    for name, cells in rows.items():
        shown = (
            f"**{cell:.3f}**" if cell == least else f"{cell:.3f}"
            for cell, least in zip(cells, best, strict=True)
        )
        lines.append(_line(name, shown))
    return "\n".join(lines) + "\n"


def _moved(moved: Moved) -> Iterator[str]:
    yield f"## What a client moves\n\nMB, compressed, of {moved.about}, in 25 store layers.\n"
    for change, planners in moved.sizes.items():
        lines = [f"After {change}:\n", _line("", SCHEMES), f"|---{'|--:' * len(SCHEMES)}|"]
        for name, sizes in planners.items():
            lines.append(_line(name, (f"{sizes[scheme] / 1e6:.2f}" for scheme in SCHEMES)))
        yield "\n".join(lines) + "\n"


def _line(name: str, cells: Sequence[str] | Iterator[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |".replace("|  |", "| |")


if __name__ == "__main__":
    print(page(Results.read()), end="")
