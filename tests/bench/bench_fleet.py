"""Twenty images in one run against twenty runs: `./dev bench-fleet`.

Applications on top of programs of flakes/distro go to a registry that is empty, and again after one
of them was edited: all by `build --all --push`, and one after another by a popularity index of all.
Nothing is in the build cache. docs/fleets.md has the figures and what each of them means.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.measure import median, run
from real.distro import distro_flake
from real.docker_registry import registry
from real.shop import TWENTY, Counted, Shop, requests, stored

CACHE = Path(__file__).parents[2] / ".cache"


@dataclass(frozen=True)
class Took:
    """What a run, or all single runs, took and left in the registry."""

    seconds: float
    calls: Counter[str]
    requests: int
    stored: int

    def __str__(self) -> str:
        return (
            f"{self.seconds:.1f} s, {sum(self.calls.values())} Nix processes, "
            f"{self.requests} requests, {self.stored / 1e6:.1f} MB stored"
        )


def pushed(shop: Shop, state: Path, nix: Counted, *, together: bool) -> tuple[Took, Took]:
    """Into an empty registry, and again after an edit."""
    state.mkdir()
    index = state / "index.json"
    try:
        with registry(state) as host:
            found = []
            for version in ("1", "2"):
                shop.edit("git", version)
                run(["nix", "build", "--no-link", *(f"{shop.flake}#{name}" for name in TWENTY)])
                if not together and version == "1":
                    run(["nix2oci", "popularity", "-q", "--all", shop.flake, "-o", str(index)])
                before = sum(requests(state).values())
                nix.take()
                seconds = _push(shop, host, index, nix, together=together)
                calls = nix.take()
                count = sum(requests(state).values()) - before
                found.append(Took(seconds, calls, count, stored(state)))
    finally:
        shutil.rmtree(state)
    return found[0], found[1]


def _push(shop: Shop, host: str, index: Path, nix: Counted, *, together: bool) -> float:
    build = ("nix2oci", "build", "-q", "--no-cache")
    if together:
        return run([*build, "--all", shop.flake, "--push", f"{host}/shop"], nix.env).seconds
    by_index = ("--popularity", str(index), "--push")
    each = ((*build, *shop.alone(name), *by_index, f"{host}/shop/{name}:latest") for name in TWENTY)
    return sum(run(argv, nix.env).seconds for argv in each)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with tempfile.TemporaryDirectory(prefix="n2o-") as directory:
        work = Path(directory)
        shop, nix = Shop(work / "shop", distro_flake(CACHE), TWENTY), Counted(work)
        shop.write()
        ratios: list[tuple[float, float]] = []
        for _ in range(runs):
            all_first, all_again = pushed(shop, work / "all", nix, together=True)
            one_first, one_again = pushed(shop, work / "each", nix, together=False)
            ratios.append(
                (all_first.seconds / one_first.seconds, all_again.seconds / one_again.seconds)
            )
            print(f"first: all {all_first}; one by one {one_first}")
            print(f"after an edit: all {all_again}; one by one {one_again}")
        first, again = (median(each) for each in zip(*ratios, strict=True))
        print(f"a run takes {first:.2f} of the time, after an edit {again:.2f}")


main()
