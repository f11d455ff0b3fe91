"""`./dev bench-layering`: the planners of others against ours, on two fleets.

    PYTHONPATH=tests python tests/bench/bench_layering.py [PART...]

Keeps in results/layering.json what docs/layering-figures.md and its charts are made of, and prints
at the end what docs/layering.md claims, met or missed. The parts: `large` is a fleet made of what
apt knows (debianfleet), `real` one of closures that Nix made (realfleet), `held out` is the half of
the large one whose index is of the other half; `moved` is what a client moves of PostgreSQL;
`times` is how long plans take.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.layering.bumps import moved
from bench.layering.claims import LATER, METRICS, Claim, cells, claims
from bench.layering.contenders import OURS, WITH_INDEX, Row, Track, ours, published
from bench.layering.debianfleet import Graph, distribution, fleet
from bench.layering.large import closure_of
from bench.layering.metrics import change, images
from bench.layering.realfleet import describe, real_fleet
from bench.layering.results import Moved, Results
from real.distro import distro_flake, nix

from nix2oci.model.closure import Closure
from nix2oci.nix.json_output import path_infos
from nix2oci.nix.store import LocalStore
from nix2oci.plan.layers.fleet import build_popularity

BUDGETS = (10, 25, 50)

MOST_SECONDS = {1000: 2, 10_000: 8}
"""What a plan of so many paths may take, of processor time."""


def main() -> None:
    sys.setrecursionlimit(10_000)  # circles of a whole distribution are found depth first
    parts = sys.argv[1:] or [*_TRACKS, "moved", "times"]
    results = Results.read() if sys.argv[1:] else Results()
    said: list[Claim] = []
    for name in parts:
        if name in _TRACKS:
            tables = measured(name, results)
            said += claims({(name, budget): rows for budget, rows in tables.items()})
        elif name == "moved":
            results.moved = moved_of_a_program()
        else:
            results.seconds = times()
            ours_took = zip(MOST_SECONDS.items(), results.seconds[OURS], strict=True)
            said += [Claim(f"seconds for {n} paths", took, most) for (n, most), took in ours_took]
        results.write()
    if "large" in parts:
        replanned(distribution())
    print("\n## Claims\n")
    for claim in said:
        print(f"- {claim}")


_TRACKS = ("large", "real", "held out")


def measured(name: str, results: Results) -> dict[int, Sequence[Row]]:
    """The tables of a fleet by budget."""
    closures = real_fleet(Path(".cache")) if name == "real" else fleet(distribution())
    counted: list[Closure] = []
    track = Track.of(list(closures.values()))
    if name == "held out":
        counted, held_out = halves(closures)
        track = Track.of(held_out)
    else:
        results.fleets[name] = describe(closures)
    tables = {}
    for budget in BUDGETS:
        index = build_popularity(counted, budget) if counted else None
        tables[budget] = show(f"{name}, {budget} layers", track.rows(budget, index))
    results.tables[name] = {
        str(budget): {row.name: [round(cell, 3) for cell in cells(row)] for row in rows}
        for budget, rows in tables.items()
    }
    return tables


def moved_of_a_program() -> Moved:
    """What a client moves of a program that Nix built."""
    distro = distro_flake(Path(".cache"))
    answer = nix("path-info", "--json", "--recursive", _built(f"path:{distro}#{_PROGRAM}"))
    closure = Closure.of_all(path_infos(answer))
    store = LocalStore()
    everybody = {each.name: each.plan for each in [*published([closure]), ours(OURS, None)[0]]}
    sizes = moved(closure, lambda path: store.entries(closure.infos[path]), everybody, 25)
    about = f"{closure.roots[0].name}, {len(closure)} paths, {closure.nar_size / 1e6:.0f} MB"
    return Moved(about, sizes)


def _built(installable: str) -> str:
    nix("build", "--no-link", installable)
    return installable


_PROGRAM = "postgresql"


def halves(closures: Mapping[str, Closure]) -> tuple[list[Closure], list[Closure]]:
    """Every other image by name, and the rest."""
    names = sorted(closures)
    return [closures[name] for name in names[::2]], [closures[name] for name in names[1::2]]


def show(title: str, rows: Sequence[Row]) -> Sequence[Row]:
    """Print a table."""
    columns = [*METRICS, "sum", *LATER]
    print(f"\n### {title}\n\n| | {' | '.join(columns)} |\n|---{'|--:' * len(columns)}|")
    for row in rows:
        print(f"| {row.name} | {' | '.join(f'{cell:.3f}' for cell in cells(row))} |", flush=True)
    return rows


def replanned(graph: Graph) -> None:
    """Print what a second plan pushes after some changes, and what the first one said of them."""
    closures = list(fleet(graph).values())
    named = {graph.path(name): name for name in graph.packages}
    print("\n### Bytes pushed after a change, 25 layers\n\n| | from one plan | planned anew |")
    print("|---|--:|--:|")
    for contender in [*published(closures), ours(OURS, None)[0]]:
        told = again = 0
        for image in images(closures[::12]):
            (root,) = image.closure.roots
            plan = contender.plan(image.closure, 25)
            for path in list(image.closure)[::20]:
                changed = graph.bumped([named[path]]).closure(named[root])
                had = {frozenset(layer) for layer in plan}
                new = [
                    layer for layer in contender.plan(changed, 25) if frozenset(layer) not in had
                ]
                told += change(image, plan, [path])[0]
                again += sum(changed.infos[path].nar_size for layer in new for path in layer)
        print(f"| {contender.name} | {told / 1e6:.1f} MB | {again / 1e6:.1f} MB |", flush=True)


def times() -> dict[str, list[float]]:
    """Seconds of processor time for one plan of 63 layers, of as many paths as `MOST_SECONDS`."""
    large = [closure_of(paths) for paths in MOST_SECONDS]
    index_of = build_popularity(large[:1], 63)
    found: dict[str, list[float]] = {}
    for contender in [*published(large[:1]), ours(OURS, None)[0], ours(WITH_INDEX, index_of)[0]]:
        for closure in large:
            before = time.process_time()
            contender.plan(closure, 63)
            took = time.process_time() - before
            found.setdefault(contender.name, []).append(round(took, 2))
        print(contender.name, *found[contender.name], flush=True)
    return found


if __name__ == "__main__":
    main()
