"""Whole processes, measured by the operating system: wall seconds and peak memory.

Machines are shared and noisy, so every figure that is printed is a ratio of two medians of
runs that took turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """One finished process: wall seconds, peak memory in MB of it or of any of its children."""

    seconds: float
    megabytes: float
    processor: float = 0.0
    """Seconds of all processors, of it and its children."""


def run(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Run:
    """Run a command that has to succeed; its output is thrown away."""
    start = time.perf_counter()
    with subprocess.Popen(
        argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)} exited {process.returncode}: {errors.decode()}")
    return Run(seconds, usage.ru_maxrss / 1000, usage.ru_utime + usage.ru_stime)


class NixClock:
    """A `nix` to put on PATH that adds up the wall time of every call of the real one."""

    def __init__(self, directory: Path, nix: str) -> None:
        self.log = directory / "nix-seconds"
        shim = directory / "bin" / "nix"
        shim.parent.mkdir()
        shim.write_text(
            "#!/bin/bash\n"
            f'start=$EPOCHREALTIME; {nix} "$@"; code=$?\n'
            f'echo "$start $EPOCHREALTIME" >> {self.log}\n'
            "exit $code\n"
        )
        shim.chmod(0o755)
        self.env = {
            **os.environ,  # noqa: TID251  # a benchmark runs in the caller's environment
            "PATH": f"{shim.parent}:{os.environ['PATH']}",  # noqa: TID251
            "NIX2OCI_BENCH_NIX": nix,  # for benchmarks: no other program is given it
        }

    def take(self) -> float:
        """Seconds that nix took since the last call."""
        calls = [line.split() for line in self.log.read_text().splitlines()]
        self.log.unlink()
        return sum(float(end) - float(start) for start, end in calls)


def median(values: Sequence[float]) -> float:
    """The middle of what was measured."""
    return statistics.median(values)
