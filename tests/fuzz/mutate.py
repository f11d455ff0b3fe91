"""Valid wrappers with one byte changed: each is refused, or its launcher still does what bash does.

    PYTHONPATH=tests python -m fuzz.mutate --mutate 10000 [--lines 0] [--calls 3] [--seed S]

With `--lines` as many more, where lines are taken out, doubled, moved and mixed instead.

Exit status 1 when a script that was accepted behaves otherwise in any call; the seed and the
number of a mutant bring it back.
"""

# ruff: noqa: T201 - it is a command

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random  # noqa: TID251 - tests may draw, from a seed

from fuzz.cases import ELEMENTS, Case, draw, hostile
from fuzz.running import Bench, judge
from fuzz.scripts import Form, script
from fuzz.wrappers import Setup, chunks
from nix2oci.wrappers.operations import Chdir, Launch, Unset
from nix2oci.wrappers.refusal import Refusal
from nix2oci.wrappers.script import HostFacts, Wrapper, read

# Forms that the generator of launchers does not write.
SAMPLES = tuple(
    text.encode()
    for text in (
        """#!%(bash)b
exec %(target)b "$@"
""",
        """#! %(bash)b -e
exec "%(target)b"  "$@"
""",
        """#! %(bash)b -e
export V=a:b
export V=$V${V:+:}c
export V=d${V:+:}$V
exec -a "$0" %(target)b -x y "${extraFlagsArray[@]}" "$@"
""",
        """#! %(bash)b -e
export V="a b"
export W=$W${W:+:}c
exec -a "$0" "%(target)b"  --x=y "${extraFlagsArray[@]}" "$@"
""",
        """#! %(bash)b -e
export V='a b'
export W=$W${W:+':'}'c'
export W='d'${W:+':'}$W
exec -a "x y" "%(target)b"  --x "a b" 'c'\\'d "${extraFlagsArray[@]}" "$@"
""",
        """#! %(bash)b -e
PATH=${PATH:+':'$PATH':'}
PATH=${PATH/':''/a/bin'':'/':'}
PATH='/a/bin'$PATH
PATH=${PATH#':'}
PATH=${PATH%%':'}
export PATH
V=${V:+':'$V':'}
if [[ $V != *':''a'':'* ]]; then
    V=$V'a'
fi
V=${V#':'}
V=${V%%':'}
export V
unset W
export X=${X-'y'}
exec -a "$0" "%(target)b"  -a "b" "$@"  --c d
""",
        """#!%(bash)b
set -o errexit
set -o nounset
set -o pipefail
V='a b'
export V
declare -a W=('a' b)
export W
declare -A X=(['k']='v' [l]=w)
export X

export PATH="/a/bin:/b/bin:$PATH"

# a remark
exec %(target)b \\
  --flag='a b' \\
  "$@" last\\ word

""",
        """#!%(bash)b
# a remark
set -euo pipefail

export V="a${V:+:$V}"
export W="${W:+$W;}b"
export X="x${X:-}"
export Y="${Y:-}y"
export Z=z${Z:+:$Z}
export PATH=/a:$PATH
cd /
exec -a name "%(target)b" "$@"
""",
    )
)

_LIKELY = b"'\"\\$`~#;&|<>(){}[]*?!=+-:/.@% \t\n\r\0aV0_"


@dataclass(frozen=True, slots=True)
class Tally:
    """How many mutants were refused for which reason or accepted, and what differed, in words."""

    verdicts: Counter[str]
    calls: int
    findings: tuple[str, ...]

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.verdicts + other.verdicts,
            self.calls + other.calls,
            self.findings + other.findings,
        )


def mutant(random: Random, bench: Bench) -> bytes:
    """A valid wrapper with one byte put in, taken out or put in the place of another."""
    text = _valid(random, bench)
    at = random.randrange(len(text))
    likely = random.random() < 0.6
    byte = bytes((random.choice(_LIKELY) if likely else random.randrange(256),))
    match random.randrange(3):
        case 0:
            return text[:at] + byte + text[at:]
        case 1:
            return text[:at] + text[at + 1 :]
    return text[:at] + byte + text[at + 1 :]


_LINES = (
    "set -u", "set -e", "set -eu", "unset PATH", "unset V", "export V=$V", "export V=${V}x",
    'export V="$V"', "declare -a V=(a b)\nexport V", "declare -A X=([a]=b)\nexport X", "cd /",
    "V=x\nexport V", "export V=", "export PATH=$PATH:/z", 'export PATH="${PATH:+$PATH:}/y"',
    "export V=${V-'d'}", 'export W="$W${W:+:}w"', "# remark", "", "export LC_ALL='C.UTF-8'",
)  # fmt: skip


def mixed(random: Random, bench: Bench) -> bytes:
    """Valid wrappers whose lines are taken out, doubled, moved, and mixed with others."""
    lines = _valid(random, bench).split(b"\n")
    for _ in range(random.randrange(1, 5)):
        at = random.randrange(1, len(lines))
        match random.randrange(6):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, random.choice(lines[1:]))
            case 2:
                lines[at:at] = random.choice(_valid(random, bench).split(b"\n")[1:-1:]), b""
            case _:
                lines[at:at] = random.choice(_LINES).encode().split(b"\n")
        lines += [b""] if len(lines) < 2 else []
    return b"\n".join(lines)


def _valid(random: Random, bench: Bench) -> bytes:
    if random.random() < 0.4:
        return random.choice(SAMPLES) % {b"bash": bench.bash, b"target": bench.places.targets[0]}
    case = draw(random, bench.places)
    return script(case.launch, case.form, bench.bash, utf8=case.utf8)


def surroundings(bench: Bench) -> HostFacts:
    """The bash of the bench is a bash, and its preset is known."""
    return HostFacts(
        is_bash=lambda path: path == bench.bash,
        path_preset=lambda _: bench.places.path_preset,
    )


def call(random: Random, launch: Launch, bench: Bench) -> Case:
    """A call of the wrapper whose environment has to do with what it does."""
    return Case(
        launch,
        Form.BLOCKS,
        utf8=False,
        environment=_environment(random, launch),
        argv=(hostile(random), *(hostile(random) for _ in range(random.randrange(3)))),
        execfn=random.choice((b"./wrapper", b"linked/w")),
        directory=random.choice(bench.places.directories),
    )


def _environment(random: Random, launch: Launch) -> Mapping[bytes, bytes]:
    found = {b"OTHER": b"x"} if random.random() < 0.5 else {}
    for op in launch.ops:
        if isinstance(op, Chdir) or random.random() < 0.3:
            continue
        value = b"" if isinstance(op, Unset) else getattr(op, "value", getattr(op, "text", b""))
        separator = getattr(op, "separator", b":")
        elements = (value, value, random.choice(ELEMENTS), separator, hostile(random))
        picked = random.choices(elements, k=random.randrange(6))
        found[op.name] = separator.join(picked)
    if random.random() < 0.3:
        found[b"LC_ALL"] = random.choice((b"C", b"C.UTF-8"))
    return found


def check(random: Random, text: bytes, bench: Bench, calls: int) -> tuple[str, int, str]:
    """The verdict on one script, how often it was run, and what differed."""
    found = read(text, b"wrapper", surroundings(bench))
    if not isinstance(found, Wrapper):
        return str(found.reason) if isinstance(found, Refusal) else "no script", 0, ""
    for number in range(calls):
        case = call(random, found.launch, bench)
        bash = bench._run(text, case, ())
        outcomes = (bash, bench.as_launcher(case), bench.as_model(case))
        different = judge(case, *outcomes, ordered=True)
        if different:
            return "accepted", number + 1, f"{text!r}\n{case}\n{different}"
    return "accepted", calls, ""


def run(
    setup: Setup, calls: int, numbers: range, make: Callable[[Random, Bench], bytes] = mutant
) -> Tally:
    """Check the mutants of these numbers, one after the other."""
    tally = Tally(Counter(), 0, ())
    with tempfile.TemporaryDirectory(dir=setup.scratch) as directory:
        bench = Bench.make(Path(directory), setup.scratch / "probe", setup.machine, setup.bash)
        for number in numbers:
            random = Random(f"{setup.seed}/{number}")
            verdict, ran, different = check(random, make(random, bench), bench, calls)
            found = (f"mutant {number} of seed {setup.seed}\n{different}",) if different else ()
            tally += Tally(Counter((verdict,)), ran, found)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutate", type=int, default=10_000, help="how many mutants")
    parser.add_argument("--lines", type=int, default=0, help="how many with lines mixed")
    parser.add_argument("--calls", type=int, default=3, help="of each that is accepted")
    parser.add_argument("--only", type=int, help="the number of one mutant")
    parser.add_argument("--seed", default="mutate")
    parser.add_argument("--bash", default="bash")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    parts = [(numbers, mutant) for numbers in chunks(options.mutate)]
    parts += [(numbers, mixed) for numbers in chunks(options.lines)]
    if options.only is not None:
        parts = [(range(options.only, options.only + 1), mixed if options.lines else mutant)]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor(options.jobs) as pool:
        setup = Setup.make(Path(scratch), options.seed, platform.machine(), options.bash)
        tallies = pool.map(partial(run, setup, options.calls), *zip(*parts, strict=True))
        tally = sum(tallies, Tally(Counter(), 0, ()))
    for finding in tally.findings[:20]:
        print(finding, end="\n\n")
    print(f"seed {options.seed}: {tally.verdicts.total()} mutants, {tally.verdicts['accepted']} ")
    print(f"accepted and called {tally.calls} times in {time.monotonic() - started:.0f} s")
    for verdict, count in tally.verdicts.most_common():
        print(f"  {count:6} {verdict}")
    print(f"{len(tally.findings)} differ")
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
