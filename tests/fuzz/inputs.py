"""Thousands of changed inputs, each read by a command: none may end as a bug, or out of proportion.

    PYTHONPATH=tests python -m fuzz.inputs --runs 100000 [--seed S] [--only N] [--keep DIR]

Exit status 1 when a run fails, or too few of the readers' lines were reached. The seed and the
number of a run bring it back, and what it read is kept.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random  # noqa: TID251 - tests may draw, from a seed

from support.terminal import Terminal

from fuzz.answers import scripted
from fuzz.in_process import MOST_SECONDS, Outcome, run, world
from fuzz.meter import READERS, measuring, root
from fuzz.places import PLACES, Desk

ENOUGH = 90.0
"""Percent of those lines."""

_BUG = 70

_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""A file system without a disk, where there is one: most of a run is writing files."""

_MEASURED = int(os.environ.get("FUZZ_MEASURED", "8"))  # noqa: TID251
"""One run in so many is looked at for the lines that it reaches, which makes it slow."""


@dataclass
class Tally:
    """What came of runs."""

    runs: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    largest: int = 0
    failures: list[str] = field(default_factory=list)

    def note(self, place: str, outcome: Outcome) -> None:
        self.runs += 1
        self.codes[str(outcome.code)] += 1
        self.places[place] += 1
        self.slowest = max(self.slowest, outcome.seconds)
        self.largest = max(self.largest, outcome.peak)

    def add(self, other: Tally) -> None:
        self.runs += other.runs
        self.codes += other.codes
        self.places += other.places
        self.slowest, self.largest = (
            max(self.slowest, other.slowest),
            max(self.largest, other.largest),
        )
        self.failures += other.failures


@dataclass
class Bench:
    """Where runs of this process happen."""

    seed: str
    scratch: Path
    keep: Path
    desk: Desk

    @classmethod
    @contextmanager
    def open(cls, seed: str, scratch: Path, keep: Path) -> Iterator[Bench]:
        os.environ["FUZZ_SCRATCH"] = str(scratch)  # noqa: TID251
        (scratch / "term").mkdir()
        terminal = Terminal.make(scratch / "term")
        done = terminal.run("build", ".#app", "-o", "x")
        assert done.returncode == 0, done.stderr
        with scripted() as server, world():
            desk = Desk(scratch / "here", server, terminal)
            os.environ["FUZZ_SCRATCH"] = str(scratch)  # noqa: TID251
            yield cls(seed, scratch, keep, desk)

    def run(self, number: int, *more: str) -> tuple[str, str, Outcome]:
        """The place that is tried, the command line, and what came of it."""
        random = Random(f"{self.seed}/{number}")
        place = random.choices(list(PLACES), list(PLACES.values()))[0]
        desk = self.desk
        shutil.rmtree(desk.directory, ignore_errors=True)
        desk.directory.mkdir()
        home = str(desk.directory)
        desk.env = {"HOME": home, "PATH": f"{desk.terminal.fake.bin}:/usr/bin:/bin"}
        os.environ["FUZZ_SCRATCH"] = str(self.scratch)  # noqa: TID251
        argv = [*place(random, desk), *more]
        faulthandler.dump_traceback_later(MOST_SECONDS * 4, exit=True)
        outcome = run(argv, desk.directory, desk.env)
        faulthandler.cancel_dump_traceback_later()
        return place.__name__, shlex.join(argv), outcome

    def try_one(self, number: int, tally: Tally) -> None:
        """Run and judge; what a failure read is kept."""
        place, command, outcome = self.run(number)
        if outcome.seconds > MOST_SECONDS:  # the machine may have been busy
            place, command, outcome = self.run(number)
        tally.note(place, outcome)
        if complaint := outcome.complaint:
            kept = self.keep / f"{self.seed}-{number}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(self.desk.directory, kept, symlinks=True)
            if outcome.code == _BUG:  # where it is says only this
                complaint = self.run(number, "-vv")[2].complaint or complaint
            tally.failures.append(
                f"run {number}, {place}: nix2oci {command}\n  {complaint}\n"
                f"  again: ./dev fuzz-inputs --seed {self.seed} --only {number}; its input: {kept}"
            )


def work(options: argparse.Namespace) -> int:
    """Be one of several processes: every so many-th run, then a tally as JSON on stdout."""
    scratch = Path(options.scratch)
    meter = measuring(scratch.parent / f"lines.{options.worker}")
    tally = Tally()
    with Bench.open(options.seed, scratch, Path(options.keep)) as bench:
        end = time.monotonic() + 60 * options.minutes
        for number in range(options.worker, options.runs, options.jobs):
            if time.monotonic() > end:
                break
            (scratch / "at").write_text(str(number), encoding="ascii")
            measured = number // options.jobs % _MEASURED == 0
            if measured:
                meter.start()
            try:
                bench.try_one(number, tally)
            finally:
                if measured:
                    meter.stop()
    meter.save()
    sys.stdout.write(json.dumps(tally.__dict__))
    return 0


def run_all(options: argparse.Namespace, scratch: Path) -> Tally:
    """All runs, by so many processes at once; one that dies is a failure of the run it was at."""
    given = ["--runs", str(options.runs), "--seed", options.seed, "--keep", options.keep]
    given += ["--jobs", str(options.jobs), "--minutes", str(options.minutes)]
    workers = []
    for number in range(options.jobs):
        place = scratch / str(number)
        place.mkdir()
        command = [sys.executable, "-m", "fuzz.inputs", *given, "--worker", str(number)]
        command += ["--scratch", str(place)]
        workers.append((place, subprocess.Popen(command, stdout=subprocess.PIPE)))
    total = Tally()
    for place, worker in workers:
        said = worker.communicate()[0]
        if worker.returncode:
            at = (place / "at").read_text(encoding="ascii")
            total.failures.append(f"run {at}: the process died with {worker.returncode}")
            continue
        found = json.loads(said)
        total.add(
            Tally(**{**found, "codes": Counter(found["codes"]), "places": Counter(found["places"])})
        )
    return total


def reached(scratch: Path) -> tuple[float, list[str]]:
    """Percent of the readers' lines that were run, and what each module lacks."""
    meter = measuring(scratch / "lines")
    _note_imports(scratch)
    meter.combine([str(path) for path in scratch.glob("lines.*")])
    there = total = 0
    lacking = []
    for name in READERS:
        path = root() / f"{name}.py"
        _, lines, _, missing, shown = meter.analysis2(str(path))
        total += len(lines)
        there += len(lines) - len(missing)
        lacking.append(f"{100 - 100 * len(missing) / len(lines):5.0f} %  {name}  {shown}")
    return 100 * there / total, lacking


def _note_imports(scratch: Path) -> None:
    """Note what a module does when it is imported, which happens before any run."""
    names = [f"nix2oci.{name.replace('/', '.')}" for name in READERS]
    script = (
        "import importlib, pathlib, sys; from fuzz.meter import measuring\n"
        "meter = measuring(pathlib.Path(sys.argv[1])); meter.start()\n"
        "for name in sys.argv[2:]: importlib.import_module(name)\n"
        "meter.stop(); meter.save()"
    )
    place = str(scratch / "lines.imports")
    subprocess.run([sys.executable, "-c", script, place, *names], check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=30, help="after which it ends early")
    parser.add_argument("--only", type=int, help="the number of one run")
    parser.add_argument("--seed", default="inputs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--keep", default=".cache/fuzz-inputs", help="where failing inputs go")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.keep = os.path.abspath(options.keep)
    if options.worker is not None:
        return work(options)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=_MEMORY) as directory:
        scratch = Path(directory)
        if options.only is not None:
            return _again(options, scratch)
        tally = run_all(options, scratch)
        percent, lacking = reached(scratch)
    seconds = time.monotonic() - started
    sys.stdout.write(_report(options, tally, percent, lacking, seconds))
    return 1 if tally.failures or percent < ENOUGH else 0


def _again(options: argparse.Namespace, scratch: Path) -> int:
    with Bench.open(options.seed, scratch, Path(options.keep)) as bench:
        place, command, outcome = bench.run(options.only, "-vv")
    sys.stdout.write(
        f"{place}: nix2oci {command}\n{outcome.output}{outcome.said}\nexit code {outcome.code}, "
        f"{outcome.seconds:.1f} s, {outcome.peak >> 20} MB\n"
    )
    return 1 if outcome.complaint else 0


def _report(
    options: argparse.Namespace,
    tally: Tally,
    percent: float,
    lacking: list[str],
    seconds: float,
) -> str:
    used = os.times().children_user + os.times().children_system
    lines = (
        *lacking,
        *(f"\n{failure}" for failure in tally.failures[:20]),
        "",
        f"seed {options.seed}, {tally.runs} of {options.runs} runs",
        f"{seconds:.0f} s by {options.jobs} processes, {used:.0f} s of processors",
        f"inputs: {dict(tally.places.most_common())}",
        f"exit codes: {dict(sorted(tally.codes.items()))}",
        f"longest run {tally.slowest:.1f} s, most memory {tally.largest >> 20} MB",
        f"{percent:.1f} % of the readers' lines reached",
        f"{len(tally.failures)} runs failed",
    )
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
