"""`./dev bench-planning`: how long plans take, in seconds and against plain Python.

    PYTHONPATH=tests python tests/bench/bench_planning.py

Machines differ and are busy, so each figure is also given as a ratio to a yardstick, a loop over
integers that is run before and after; docs/layering-figures.md has what was measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from bench.layering.large import alike, closure_of, fleet_of, of_one

from nix2oci.host.sharing import on_all_cores
from nix2oci.plan.layers.fleet import build_popularity
from nix2oci.plan.layers.layering import LayerHints, plan_layers
from nix2oci.plan.layers.popularity import Popularity

_STEPS = 2_000_000


def yardstick() -> float:
    """Seconds of a fixed piece of work: sums, shifts and tuples, as in plans."""
    before, found, kept = time.process_time(), 1, (0, 0)
    for n in range(_STEPS):
        found = (found * 33 + n) & 0xFFFFFFFFFFFF
        kept = (found, n) if found & 7 else kept
    return time.process_time() - before


def measured() -> Iterator[tuple[str, float, Callable[[], object]]]:
    """What is planned, how many seconds it may take, and the work."""
    large = closure_of(10_000)
    for budget in (9, 63, 126):
        for name, closure in (("that use some", closure_of(2000)), ("that use one", alike(2000))):
            text = f"2,000 paths {name} others, {budget} layers"
            yield text, 1.5, partial(plan_layers, closure, budget)
    index = LayerHints(Popularity.counted([large]))
    yield "10,000 paths with an index, 126 layers", 8, partial(plan_layers, large, 126, index)
    yield "one path that refers to 20,000", 5, partial(plan_layers, of_one(20_000), 126)
    yield (
        "an index of 500 images of 240 paths",
        60,
        partial(
            build_popularity,
            fleet_of(500, 240),
            63,
            run=partial(on_all_cores, purpose="plan layers"),
        ),
    )


def main() -> None:
    print("| | seconds | may take | yardsticks |\n|---|--:|--:|--:|")
    for text, most, work in measured():
        before = yardstick()
        start = time.perf_counter()  # some of the work is shared out to processes
        work()
        took = time.perf_counter() - start
        one = (before + yardstick()) / 2
        print(f"| {text} | {took:.2f} | {most} | {took / one:.1f} |", flush=True)


if __name__ == "__main__":
    main()
