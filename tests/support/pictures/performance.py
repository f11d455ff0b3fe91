"""docs/pictures/performance-speed.svg: how long a build takes, by tests/bench/results/speed.json.

    PYTHONPATH=tests python tests/support/pictures/performance.py DIRECTORY

`./dev bench` measures. What the bars are, docs/performance.md says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.speed_results import Compared, Program, Results
from support.svg import path, picture, rect, text, write_pictures

WIDTH = 520
_LEFT, _PLOT, _END, _LINE = 16, 190, WIDTH - 60, 22
_STYLE = (
    "  .ours { fill: var(--r4); }\n  .other { fill: var(--r0); }\n"
    "  .line { stroke: var(--text); stroke-dasharray: 2 2; fill: none; }\n"
)


def speed_chart(results: Results) -> str:
    """A bar for each way by its seconds, ours first; a mark where our bound is."""
    parts, said, y = [], [], 30
    for program in results.programs:
        size = f"{program.tar_size / 1e6:.0f} MB of tar"
        parts.append(text(_LEFT, y, f"{program.name}, {size}: seconds", "bold"))
        y += 8
        most = max(seconds for rows in map(_rows, _kinds(program)) for _, seconds, _ in rows)
        for compression, compared in program.compared.items():
            y += 24
            parts.append(text(_LEFT, y, f"--compression {compression}", "pale", font_size=12))
            rows = _rows(compared)
            for name, seconds, bound in rows:
                y += _LINE
                parts += _bar(name, seconds / most, f"{seconds:.2f}", y, bound / most)
            said.append(f"{program.name} {compression}: {_in_words(rows)}")
        y += 44
    title = f"Seconds of a build, without Nix, and of others. {'; '.join(said)}"
    return picture(WIDTH, y - 22, title, _STYLE, *parts)


def _kinds(program: Program) -> Iterator[Sequence[Compared]]:
    return iter(program.compared.values())


def _rows(compared: Sequence[Compared]) -> list[tuple[str, float, float]]:
    """Names with seconds, and where the bound of ours is; ours as the plain tool's pairs had it."""
    judge = compared[0]
    bound = (judge.bound or 0) * judge.other
    others = [(_short(each.name), each.other, 0.0) for each in compared]
    return [("nix2oci", judge.ours, bound), *others]


def _short(name: str) -> str:
    head = name.partition(":")[0]
    return head if head != name else " ".join(name.split()[:3]).replace(" -c", "")


def _in_words(rows: Sequence[tuple[str, float, float]]) -> str:
    return ", ".join(f"{name} {seconds:.2f}" for name, seconds, _ in rows)


def _bar(name: str, share: float, said: str, y: int, bound: float) -> Iterator[str]:
    is_ours = bound > 0
    width = max(1.5, share * (_END - _PLOT))
    yield text(_LEFT + 12, y, name, "bold" if is_ours else "", font_size=13)
    yield rect(_PLOT, y - 12, width, 14, class_="ours" if is_ours else "other")
    yield text(_PLOT + max(width, bound * (_END - _PLOT)) + 6, y, said, font_size=12)
    if is_ours:
        yield path(f"M{_PLOT + bound * (_END - _PLOT):.1f} {y - 15}V{y + 5}", class_="line")


if __name__ == "__main__":
    write_pictures({"performance-speed.svg": speed_chart(Results.read())})
