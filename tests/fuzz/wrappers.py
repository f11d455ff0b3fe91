"""Thousands of random wrappers: bash against the launcher against the model.

    PYTHONPATH=tests python -m fuzz.wrappers --cases 20000 [--machine aarch64] [--seed S]

Exit status 1 when anything differs; the seed and the number of a case bring it back.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random  # noqa: TID251 - tests may draw, from a seed

from fuzz.cases import draw
from fuzz.running import Bench, compile_probe, judge
from fuzz.scripts import script


@dataclass(frozen=True, slots=True)
class Setup:
    """What all cases of a run share."""

    seed: str
    machine: str
    bash: bytes
    scratch: Path

    @classmethod
    def make(cls, scratch: Path, seed: str, machine: str, bash: str = "bash") -> Setup:
        found = shutil.which(bash)
        if found is None:
            raise FileNotFoundError(f"no '{bash}' on PATH")
        emulator = f"qemu-{machine}-static"
        if machine != platform.machine() and shutil.which(emulator) is None:
            raise FileNotFoundError(f"no '{emulator}' on PATH")
        compile_probe(scratch / "probe")
        return cls(seed, machine, os.fsencode(os.path.realpath(found)), scratch)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many cases ended with which exit status, and those that differ, in words."""

    statuses: Counter[int]
    findings: tuple[str, ...]

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.statuses + other.statuses, self.findings + other.findings)


def run(setup: Setup, numbers: range) -> Tally:
    """Run the cases of these numbers, one after the other."""
    with tempfile.TemporaryDirectory(dir=setup.scratch) as directory:
        bench = Bench.make(Path(directory), setup.scratch / "probe", setup.machine, setup.bash)
        statuses: Counter[int] = Counter()
        findings = []
        for number in numbers:
            case = draw(Random(f"{setup.seed}/{number}"), bench.places)
            bash = bench.as_script(case)
            statuses[bash.status] += 1
            ordered = setup.machine == platform.machine()  # qemu turns the environment round
            different = judge(
                case, bash, bench.as_launcher(case), bench.as_model(case), ordered=ordered
            )
            if different:
                text = script(case.launch, case.form, setup.bash, utf8=case.utf8)
                findings.append(
                    f"case {number} of seed {setup.seed}\n{case}\n{text!r}\n{different}"
                )
        return Tally(statuses, tuple(findings))


def chunks(total: int, size: int = 100) -> Iterator[range]:
    return (range(at, min(at + size, total)) for at in range(0, total, size))


def report(setup: Setup, tally: Tally) -> str:
    """What was run and what differs, at most 20 times."""
    version = subprocess.run([setup.bash, "--version"], stdout=subprocess.PIPE, check=True).stdout
    lines = (
        *(f"{finding}\n" for finding in tally.findings[:20]),
        f"seed {setup.seed}, {setup.machine}, {version.splitlines()[0].decode()}",
        f"exit statuses of bash: {dict(sorted(tally.statuses.items()))}",
        f"{tally.statuses.total()} cases, {len(tally.findings)} differ",
    )
    return "".join(f"{line}\n" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--only", type=int, help="the number of one case")
    parser.add_argument("--seed", default="launcher")
    parser.add_argument("--machine", default=platform.machine())
    parser.add_argument("--bash", default="bash")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    parts = list(chunks(options.cases))
    if options.only is not None:
        parts = [range(options.only, options.only + 1)]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(options.jobs) as pool:
        setup = Setup.make(Path(scratch), options.seed, options.machine, options.bash)
        tally = sum(pool.map(partial(run, setup), parts), Tally(Counter(), ()))
    sys.stdout.write(report(setup, tally))
    sys.stdout.write(f"{time.monotonic() - started:.0f} s\n")
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
