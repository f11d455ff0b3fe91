"""What a wrapper adds to the start of a program: as a launcher, and as a script under bash.

    PYTHONPATH=tests python tests/bench/bench_launcher.py [RUNS]

The program does next to nothing, so that what is before it shows. docs/launcher.md has the
figures.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from fuzz.running import Wrapped, compile_probe

from nix2oci.wrappers.operations import Argv0, Launch, Op, Prefix, Set, Suffix

BOUND = 0.3  # milliseconds that the launcher may add
VARIABLES = (b"PATH", b"PYTHONPATH", b"XDG_DATA_DIRS", b"GIO_EXTRA_MODULES")
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "XDG_DATA_DIRS": "/a:/b:/c"} | {
    f"VARIABLE_{number}": "x" * 40 for number in range(30)
}


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        compile_probe(work / "probe")
        wrapped = Wrapped.write(work, Launch(bytes(work / "probe"), operations(), Argv0.EXECFN))
        programs = (work / "probe", wrapped.launcher, wrapped.script)
        times: tuple[list[float], ...] = ([], [], [])
        for _ in range(runs):
            for program, found in zip(programs, times, strict=True):
                found.append(start(str(program)))
    bare, launcher, bash = (statistics.median(found) * 1000 for found in times)
    sys.stdout.write(
        f"medians of {runs} starts that took turns, {len(operations())} operations\n"
        f"launcher: adds {launcher - bare:.3f} ms to {bare:.3f} ms (bound {BOUND})\n"
        f"bash: adds {bash - bare:.3f} ms, {(bash - bare) / (launcher - bare):.0f} x as much\n"
    )


def operations() -> tuple[Op, ...]:
    """As a larger wrapper of nixpkgs has them: twelve directories in four variables."""
    paths = [b"/nix/store/%032d-name-1.0/lib" % number for number in range(12)]
    elements = [Prefix(VARIABLES[n % 4], b":", path) for n, path in enumerate(paths)]
    return (*elements, Suffix(b"PATH", b":", b"/usr/bin"), Set(b"PYTHONNOUSERSITE", b"true"))


def start(program: str) -> float:
    """Seconds from the start of a process to its end; its output goes nowhere."""
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    begin = time.perf_counter()
    process = os.posix_spawn(program, [program], ENVIRONMENT, file_actions=silent)
    os.waitpid(process, 0)
    return time.perf_counter() - begin


main()
