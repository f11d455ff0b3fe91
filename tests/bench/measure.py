"""Whole processes, measured by the operating system: wall seconds and peak memory.

Machines are shared and noisy, so every figure that is printed is a ratio of two medians of
runs that took turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """One finished process: wall seconds, peak memory in MB of it or of any of its children."""

    seconds: float
    megabytes: float
    processor: float = 0.0
    """Seconds of all processors, of it and its children."""
    all_megabytes: float = 0.0
    """The peak of all of them together, where it was sampled; shared pages count once."""


def run(argv: Sequence[str], env: Mapping[str, str] | None = None, *, sampled: bool = False) -> Run:
    """Run a command that has to succeed; its output is thrown away.

    What others wrote is on the disk by then, or writing it would count for this one.
    """
    os.sync()
    start = time.perf_counter()
    with subprocess.Popen(
        argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        with _peak(process.pid) if sampled else nullcontext([0.0]) as peak:
            errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(argv)} exited {process.returncode}: {errors.decode()}")
    processor = usage.ru_utime + usage.ru_stime
    return Run(seconds, usage.ru_maxrss / 1000, processor, max(peak))


@contextmanager
def _peak(pid: int) -> Iterator[list[float]]:
    """Sample what a process and its descendants have in memory, in MB, until the block ends."""
    found, over = [0.0], threading.Event()

    def sample() -> None:
        while not over.wait(0.05):
            found.append(sum(map(_proportional, _with_descendants(pid))) / 1000)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _with_descendants(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        with suppress(OSError):
            for children in Path(f"/proc/{each}/task").glob("*/children"):
                found += map(int, children.read_text().split())
    return found


def _proportional(pid: int) -> int:
    """Kilobytes, of which those shared by n processes count 1/n (proc(5), Pss)."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


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
        """Seconds that nix took since the last call; those of two at a time count once."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        calls = sorted((float(start), float(end)) for start, end in map(str.split, lines))
        seconds, until = 0.0, 0.0
        for start, end in calls:
            seconds += max(0.0, end - max(start, until))
            until = max(until, end)
        return seconds


def median(values: Sequence[float]) -> float:
    """The middle of what was measured."""
    return statistics.median(values)
