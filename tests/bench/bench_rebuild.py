"""`./dev bench`: how long a rebuild takes, of a clean commit and after an edit of the application.

    PYTHONPATH=tests python tests/bench/bench_rebuild.py [RUNS]

The application is a wrapped script on top of programs of flakes/distro, about 460 MB, in a git
repository. Where nothing changed, Nix's time is included; after an edit it is taken off.
docs/performance.md has the figures and what each of them means.
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

BOUND_UNCHANGED, BOUND_EDITED = 0.35, 0.3
"""Seconds: with Nix, and without it."""


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with edited_app() as (app, work, clock):
        commit(app.directory)
        print(f"closure: {closure_size(app) / 1e6:.0f} MB; medians of {runs} runs")
        for compression in ("gzip", "zstd", "none"):
            compare(compression, app, work, clock, runs)


def commit(directory: Path) -> None:
    """Make all of a flake one commit, its lock file too: nothing differs from it then."""
    git = ["git", "-C", str(directory), "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run(["nix", "flake", "lock", directory], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "all"], check=True)


def closure_size(app: App) -> int:
    argv = ["nix", "path-info", "--recursive", "--json", app.installable]
    infos = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    values = infos.values() if isinstance(infos, dict) else infos
    return sum(info["narSize"] for info in values)


def compare(compression: str, app: App, work: Path, clock: NixClock, runs: int) -> None:
    image, cache = work / "app.oci", work / "cache"
    flake = str(app.directory)
    argv = ["nix2oci", "build", "-q", "-o", str(image), "--compression", compression, flake]
    env = {**clock.env, "XDG_CACHE_HOME": str(cache)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # no installed program is compiled at every start
    nix = env["NIX2OCI_BENCH_NIX"]
    times: dict[str, list[float]] = {"first": [], "unchanged": [], "edited": [], "plain": []}
    for number in range(runs + 1):
        app.edit("the first one")  # as it is in the commit
        for directory in (cache, image):
            shutil.rmtree(directory, ignore_errors=True)
        took = {"first": run(argv, env).seconds - clock.take()}
        took["unchanged"] = run(argv, env).seconds
        app.edit(f"edit {compression} {number}")
        subprocess.run([nix, "build", "--no-link", flake], check=True)
        clock.take()
        took["edited"] = run(argv, env).seconds - clock.take()
        shutil.rmtree(image)
        took["plain"] = run([*argv, "--no-cache"], env).seconds - clock.take()
        for name, seconds in took.items():
            times[name] += [seconds] if number else []  # the first one warms the caches
    say(compression, times)


def say(compression: str, times: dict[str, list[float]]) -> None:
    first, unchanged, edited, plain = map(median, times.values())
    print(
        f"{compression}: nothing changed {unchanged:.2f} s with Nix, "
        f"{min(times['unchanged']):.2f} at best (bound {BOUND_UNCHANGED}); "
        f"after an edit {edited:.2f} s over Nix, "
        f"{min(times['edited']):.2f} at best (bound {BOUND_EDITED}); "
        f"the first build {first / edited:.1f} x that; keeping costs {first / plain:.2f} x"
    )


main()
