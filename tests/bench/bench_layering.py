"""`./dev bench-layering`: the planners of others against ours, on two fleets.

    PYTHONPATH=tests python tests/bench/bench_layering.py

Prints the tables that docs/layering.md has, and at the end what is claimed there, met or missed.
The fleets: `large` is made of what apt knows (debianfleet), `real` of closures that Nix made
(realfleet); `held out` is the half of the large one whose index is of the other half.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.layering.claims import LATER, METRICS, Claim, cells, claims
from bench.layering.contenders import OURS, WITH_INDEX, Row, Track, ours, published
from bench.layering.debianfleet import Graph, distribution, fleet
from bench.layering.large import closure_of
from bench.layering.metrics import change, images
from bench.layering.realfleet import describe, real_fleet

from nix2oci.model.closure import Closure
from nix2oci.plan.layers.fleet import build_popularity

BUDGETS = (10, 25, 50)

MOST_SECONDS = {1000: 2, 10_000: 8}
"""What a plan of so many paths may take, of processor time."""


def main() -> None:
    sys.setrecursionlimit(10_000)  # circles of a whole distribution are found depth first
    fleets = {"large": fleet(distribution()), "real": real_fleet(Path(".cache"))}
    tables: dict[tuple[str, int], Sequence[Row]] = {}
    for name, closures in fleets.items():
        print(f"\n{name}: {describe(closures)}")
        track = Track.of(list(closures.values()))
        for budget in BUDGETS:
            tables[name, budget] = show(f"{name}, {budget} layers", track.rows(budget))
    counted, held_out = halves(fleets["large"])
    track = Track.of(held_out)
    for budget in BUDGETS:
        rows = track.rows(budget, build_popularity(counted, budget))
        tables["held out", budget] = show(f"held out, {budget} layers", rows)
    replanned(distribution())
    timed = list(times())
    print("\n## Claims\n")
    for claim in [*claims(tables), *timed]:
        print(f"- {claim}")


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


def times() -> Iterator[Claim]:
    """Print how long a plan takes; what is claimed of ours."""
    heads = " | ".join(f"{paths:,} paths" for paths in MOST_SECONDS)
    print("\n### Seconds of processor time for one plan of 63 layers\n")
    print(f"| | {heads} |\n|---|--:|--:|")
    large = [closure_of(paths) for paths in MOST_SECONDS]
    index_of = build_popularity(large[:1], 63)
    us = ours(OURS, None)[0]
    for contender in [*published(large[:1]), us, ours(WITH_INDEX, index_of)[0]]:
        seconds = []
        for closure in large:
            before = time.process_time()
            contender.plan(closure, 63)
            seconds.append(time.process_time() - before)
        print(f"| {contender.name} | {' | '.join(f'{each:.2f}' for each in seconds)} |", flush=True)
        if contender is us:
            for (paths, most), found in zip(MOST_SECONDS.items(), seconds, strict=True):
                yield Claim(f"{us.name}: seconds for a plan of {paths:,} paths", found, most)


if __name__ == "__main__":
    main()
