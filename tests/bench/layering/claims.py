"""What is said of our planner, each with the figure that it is held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields

from bench.layering.contenders import OURS, WITH_INDEX, Row
from bench.layering.metrics import Figures

METRICS = tuple(field.name for field in fields(Figures))
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
        missed = "" if self.met else f" by {self.found - self.bound:.3f}"
        verdict = "met" if self.met else "MISSED"
        remark = f" ({self.remark})" if self.remark else ""
        return f"{verdict}{missed}: {self.text}: {self.found:.3f}, at most {self.bound:.3f}{remark}"


def nobody_is_better(where: str, rows: Sequence[Row], mine: str) -> Iterable[Claim]:
    """No published planner is better by 2 % on any metric but one, and none on the sum."""
    others, us = _others(rows), _named(rows, mine)
    better = []
    for metric in METRICS:
        best, name = _best(others, metric)
        if (ours := getattr(us, metric)) > best * _TOLERANCE:
            better.append(f"{metric} {ours:.3f}, {name} {best:.3f}")
    yield Claim(
        f"{where}, {mine}: metrics on which a published planner is better by more than 2 %",
        len(better),
        1,
        "; ".join(better),
    )
    best, name = _best(others, "sum")
    yield Claim(f"{where}, {mine}: the sum against the best published one", us.sum, best, name)


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
    for mine in (OURS, WITH_INDEX):
        yield from excesses("large, 25", tables["large", 25], mine)


def _others(rows: Iterable[Row]) -> Mapping[str, Figures]:
    return {row.name: row.figures for row in rows if not row.name.startswith(OURS)}


def _named(rows: Iterable[Row], name: str) -> Figures:
    return next(row.figures for row in rows if row.name == name)


def _best(others: Mapping[str, Figures], metric: str) -> tuple[float, str]:
    return min((getattr(figures, metric), name) for name, figures in others.items())


def cells(row: Row) -> list[float]:
    """The figures of a row in the order of the columns."""
    return [*astuple(row.figures), row.figures.sum, *(each for two in row.states for each in two)]
