"""What is said of our planner, each with the figure that it is held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain

from bench.layering.contenders import OURS, STATES, WITH_INDEX, Row
from bench.layering.metrics import Figures

METRICS = tuple(field.name for field in fields(Figures))
LATER = tuple(f"{what}, {share:.0%} new" for share, _ in STATES for what in ("pushed", "stored"))
COLUMNS = (*METRICS, *LATER)
_TOLERANCE = 1.02


@dataclass(frozen=True, slots=True)
class Claim:
    """`found` is to be `bound` at most."""

    text: str
    found: float
    bound: float
    remark: str = ""

    @property
    def met(self) -> bool:
        return self.found <= self.bound + 1e-9

    def __str__(self) -> str:
        missed = "" if self.met else f" by {round(self.found - self.bound, 3):g}"
        verdict = "met" if self.met else "MISSED"
        remark = f" ({self.remark})" if self.remark else ""
        figures = f"{round(self.found, 3):g}, at most {round(self.bound, 3):g}"
        return f"{verdict}{missed}: {self.text}: {figures}{remark}"


def nobody_is_better(where: str, rows: Sequence[Row], mine: str) -> Iterable[Claim]:
    """No published planner is better by 2 % on any metric but one, and none on the sum.

    The second line counts what later states cost as metrics, too.
    """
    others = [row for row in rows if not row.name.startswith(OURS)]
    us = next(row for row in rows if row.name == mine)
    for what, columns in (("metrics", METRICS), ("metrics and later states", COLUMNS)):
        better = []
        for column in columns:
            best, name = min((_cell(row, column), row.name) for row in others)
            if (ours := _cell(us, column)) > best * _TOLERANCE:
                better.append(f"{column} {ours:.3f}, {name} {best:.3f}")
        text = f"{where}, {mine}: {what} on which a published planner is better by more than 2 %"
        yield Claim(text, len(better), 1, "; ".join(better))
    best, name = min((row.figures.sum, row.name) for row in others)
    text = f"{where}, {mine}: the sum of the metrics against the best published one"
    yield Claim(text, us.figures.sum, best, name)


def excesses(where: str, rows: Sequence[Row], mine: str) -> Iterable[Claim]:
    """What is claimed of the excess over 1.0 with 25 layers on the large fleet."""
    others, us = _others(rows), _named(rows, mine)
    yield Claim(f"{where}, {mine}: excess of an app edit", us.app - 1, 0.01)
    for metric in ("random", "common"):
        best, name = _best(others, metric)
        text = f"{where}, {mine}: excess of {metric}, a third of the best published one's"
        yield Claim(text, getattr(us, metric) - 1, (best - 1) / 3, name)
    best, name = _best(others, "registry")
    factor = 0.7 if mine == WITH_INDEX else 1.1
    text = f"{where}, {mine}: excess of registry, {factor} of the best published one's"
    yield Claim(text, us.registry - 1, factor * (best - 1), name)


def claims(tables: Mapping[tuple[str, int], Sequence[Row]]) -> Iterable[Claim]:
    """All that is claimed, for tables by fleet and budget."""
    for (fleet, budget), rows in tables.items():
        for mine in (OURS, WITH_INDEX):
            yield from nobody_is_better(f"{fleet}, {budget}", rows, mine)
    for mine in (OURS, WITH_INDEX) if ("large", 25) in tables else ():
        yield from excesses("large, 25", tables["large", 25], mine)


def _others(rows: Iterable[Row]) -> Mapping[str, Figures]:
    return {row.name: row.figures for row in rows if not row.name.startswith(OURS)}


def _named(rows: Iterable[Row], name: str) -> Figures:
    return next(row.figures for row in rows if row.name == name)


def _best(others: Mapping[str, Figures], metric: str) -> tuple[float, str]:
    return min((getattr(figures, metric), name) for name, figures in others.items())


def cells(row: Row) -> list[float]:
    """The figures of a row in the order of the columns."""
    return [_cell(row, column) for column in (*METRICS, "sum", *LATER)]


def _cell(row: Row, column: str) -> float:
    if column in LATER:
        return list(chain.from_iterable(row.states))[LATER.index(column)]
    value: float = getattr(row.figures, column)
    return value
