"""`./dev bench`: how long a rebuild takes after an edit of the application alone.

    PYTHONPATH=tests python tests/bench/bench_rebuild.py [RUNS]

The application is a wrapped script on top of programs of flakes/distro, about 460 MB. Nix's own
time is taken off. docs/performance.md has the figures and what each of them means.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from bench.editing import edited_app
from bench.measure import NixClock, median, run
from real.editable import App

BOUND_SECONDS, BOUND_RATIO = 0.5, 8


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with edited_app() as (app, work, clock):
        print(f"closure: {closure_size(app) / 1e6:.0f} MB; medians of {runs} runs")
        for compression in ("gzip", "zstd", "none"):
            compare(compression, app, work, clock, runs)


def closure_size(app: App) -> int:
    argv = ["nix", "path-info", "--recursive", "--json", app.installable]
    infos = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    values = infos.values() if isinstance(infos, dict) else infos
    return sum(info["narSize"] for info in values)


def compare(compression: str, app: App, work: Path, clock: NixClock, runs: int) -> None:
    image, cache = work / "app.oci", work / "cache"
    argv = ["nix2oci", "build", "-q", "-o", str(image), "--compression", compression]
    argv.append(app.installable)
    env = {**clock.env, "XDG_CACHE_HOME": str(cache)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # no installed program is compiled at every start
    first: list[float] = []
    again: list[float] = []
    without: list[float] = []
    for number in range(runs + 1):
        shutil.rmtree(cache, ignore_errors=True)
        timed = [first, again, without]
        for times, options in zip(timed, ([], [], ["--no-cache"]), strict=True):
            if times is again:
                app.edit(f"edit {compression} {number}")
                subprocess.run(
                    [env["NIX2OCI_BENCH_NIX"], "build", "--no-link", app.installable], check=True
                )
            if times is not again:
                shutil.rmtree(image, ignore_errors=True)
            seconds = run([*argv, *options], env).seconds - clock.take()
            if number:  # the first one warms the caches of the machine
                times.append(seconds)
    own, cold, plain = (median(times) for times in (again, first, without))
    print(
        f"{compression}: a rebuild takes {own:.2f} s, {min(again):.2f} at best "
        f"(bound {BOUND_SECONDS}); the first build "
        f"{cold / own:.1f} x that (bound {BOUND_RATIO}), one without cache {plain / own:.1f} x; "
        f"keeping costs {cold / plain:.2f} x"
    )


main()
