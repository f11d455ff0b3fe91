"""What a start costs in processor time: `--help`, `build --help`, `build` until Nix is asked.

    python tests/bench/bench_start.py [-n RUNS] [NAME=PYTHON...]

Each PYTHON has a nix2oci of its own, such as `before=/other/checkout/.venv/bin/python`; without one
it is this Python. All of them take turns in one run. docs/performance.md has the figures.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

# A nix that writes how long each thread of its parent has been on a processor, and fails.
SPY = """\
#!/bin/sh
for file in /proc/$PPID/task/*/schedstat; do
  read -r nanoseconds rest <"$file" && echo "$nanoseconds" >>"$SPENT"
done
exit 1
"""
BOUNDS = {"--help": 1.7, "build --help": 2.0, "build, until Nix": 0.10}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=21)
    parser.add_argument("pythons", nargs="*", metavar="NAME=PYTHON")
    given = parser.parse_args()
    pythons = dict(each.split("=", 1) for each in given.pythons) or {"here": sys.executable}
    with tempfile.TemporaryDirectory() as scratch:
        for name, python in pythons.items():
            compile_all(python)
            sys.stdout.write(report(name, measure(python, Path(scratch), given.n)))


def compile_all(python: str) -> None:
    """What an installer does: nothing is compiled again at each start."""
    where = "import nix2oci, os; print(os.path.dirname(nix2oci.__file__))"
    argv = [python, "-P", "-c", where]
    top = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    subprocess.run([python, "-m", "compileall", "-q", top.strip()], check=True)


def measure(python: str, scratch: Path, runs: int) -> Mapping[str, float]:
    """Medians of seconds on a processor, of commands that take turns."""
    program = str(Path(python).with_name("nix2oci"))
    commands = {
        "python": [python, "-c", "pass"],
        "click": [python, "-c", "import click"],
        "--help": [program, "--help"],
        "build --help": [program, "build", "--help"],
    }
    found: dict[str, list[float]] = {name: [] for name in (*commands, "build, until Nix")}
    for _ in range(runs):
        for name, argv in commands.items():
            found[name].append(spent(argv))
        found["build, until Nix"].append(until_nix(program, scratch))
    return {name: statistics.median(times) for name, times in found.items()}


def spent(argv: list[str], **variables: str) -> float:
    """Seconds that a process was on a processor, from its start to its end."""
    given = {**os.environ, **variables}  # noqa: TID251  # a benchmark runs in the caller's
    silent = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_WRONLY, 0) for n in (1, 2)]
    process = os.posix_spawn(argv[0], list(argv), given, file_actions=silent)
    used = os.wait4(process, 0)[2]
    return used.ru_utime + used.ru_stime


def until_nix(program: str, scratch: Path) -> float:
    """Seconds that `build` was on a processor when the first nix began."""
    spy, flake, log = scratch / "bin" / "nix", scratch / "flake", scratch / "spent"
    if not spy.exists():
        spy.parent.mkdir()
        flake.mkdir()
        spy.write_text(SPY, encoding="utf-8")
        spy.chmod(0o755)
        (flake / "flake.nix").write_text("{ }", encoding="utf-8")
    log.unlink(missing_ok=True)
    argv = [program, "build", f"path:{flake}#app", "-o", str(scratch / "image")]
    spent(argv, PATH=f"{spy.parent}:{os.defpath}", SPENT=str(log), HOME=str(scratch))
    return sum(map(int, log.read_text(encoding="utf-8").split())) / 1e9


def report(name: str, times: Mapping[str, float]) -> str:
    python, click = times["python"], times["click"]
    rows = (
        ("--help", times["--help"] / python, "x python -c pass"),
        ("build --help", times["build --help"] / click, "x python -c 'import click'"),
        ("build, until Nix", times["build, until Nix"], "seconds"),
    )
    lines = [f"{name}: python -c pass {python:.4f} s, import click {click:.4f} s"]
    lines += [f"  {what}: {n:.3f} {unit} (bound {BOUNDS[what]})" for what, n, unit in rows]
    return "\n".join(lines) + "\n"


main()
