"""Builds, pushes and loads that are ended at random moments, by SIGKILL, SIGINT and SIGTERM.

With real programs: Nix, a registry, podman. After each: the exit code, nobody left of what was
started, nothing of ours in the directory for temporary files or beside the output once the next
run has ended, and that run right: the same digest, and an image that is valid.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random  # noqa: TID251

from real.distro import SINGLE_USER, distro_flake
from real.docker_registry import registry
from real.engines import podman
from real.images import NIX2OCI
from real.shims import shims
from support.started import started

SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
INTERRUPTED = 130
SECONDS = 5.0
TOKEN = "NIX2OCI_KILLS"
KINDS = ("layout", "archive", "push", "load")


@dataclass(frozen=True)
class Kill:
    """What a run is, when it is ended, and by what."""

    number: int
    kind: str
    signal: signal.Signals
    moment: float
    """As a part of the time that such a run takes."""

    @classmethod
    def draw(cls, seed: str, number: int) -> Kill:
        random = Random(f"{seed}/{number}")
        kind, name = KINDS[number % len(KINDS)], random.choice(SIGNALS)
        return cls(number, kind, name, random.random())

    def __str__(self) -> str:
        return f"kill {self.number}: {self.kind}, {self.signal.name} at {self.moment:.3f}"


@dataclass(frozen=True)
class Place:
    """What is built, and where its image goes."""

    installable: str
    directory: Path
    host: str
    path: str

    @classmethod
    def make(cls, stack: ExitStack, directory: Path, cache: Path) -> Place:
        """Everything that is started ends with `stack`."""
        installable = f"path:{distro_flake(cache)}#sed"
        for name in ("home", "tmp", "out", "registry"):
            (directory / name).mkdir()
        host = stack.enter_context(registry(directory / "registry"))
        engines = [podman(directory / "podman")] if shutil.which("podman") else []
        bin_ = shims(directory / "bin", engines, None)
        return cls(installable, directory, host, f"{bin_}:{os.environ['PATH']}")  # noqa: TID251

    def env(self, token: str) -> Mapping[str, str]:
        """By `token` all that a run started is known, whoever its parent is by then."""
        return {
            "PATH": self.path,
            "HOME": str(self.directory / "home"),
            "TMPDIR": str(self.directory / "tmp"),
            "LC_ALL": "C.UTF-8",
            "NIX_CONFIG": os.environ.get("NIX_CONFIG", SINGLE_USER),  # noqa: TID251
            "XDG_CACHE_HOME": str(self.directory / "cache"),
            TOKEN: token,
        }

    def argv(self, kind: str) -> list[str]:
        """Two of these take what is in the cache, two make every layer."""
        build = [NIX2OCI, "build", self.installable, "--tag", "app:1", "--json"]
        out = self.directory / "out"
        return {
            "layout": [*build, "-o", f"{out}/app.oci"],
            "archive": [*build, "-o", f"{out}/app.tar", "--no-cache"],
            "push": [*build, "--push", f"{self.host}/team/app:1", "--no-cache", "--no-reuse"],
            "load": [*build, "--load", "podman"],
        }[kind]

    def run(self, kind: str, token: str) -> tuple[int, str]:
        """One that nobody ends: exit code, and the digest of its image, or what it says."""
        done = subprocess.run(
            self.argv(kind), env=self.env(token), capture_output=True, text=True, check=False,
            timeout=300,
        )  # fmt: skip
        if done.returncode:
            return done.returncode, done.stderr
        return 0, str(json.loads(done.stdout)["digest"])

    def is_valid(self, kind: str) -> bool:
        """What is loaded has been compared with the image already."""
        out = self.directory / "out"
        names = {
            "layout": f"{out}/app.oci",
            "archive": f"{out}/app.tar",
            "push": f"{self.host}/team/app:1",
        }
        if kind not in names:
            return True
        argv = [NIX2OCI, "validate", names[kind]]
        done = subprocess.run(argv, env=self.env("validate"), capture_output=True, check=False)
        return done.returncode == 0

    def left(self) -> set[str]:
        """Whatever is not whole: among temporary files, beside outputs, in the cache."""
        found = {f"tmp/{name}" for name in os.listdir(self.directory / "tmp")}
        for top in ("out", "cache"):
            for path in (self.directory / top).rglob(".n*"):
                if path.name.startswith((".nix2oci-", ".new-")):
                    found.add(str(path.relative_to(self.directory)))
        return found


def alive(token: str, variable: str = TOKEN) -> Iterator[str]:
    """What runs with this token in its environment."""
    wanted = f"{variable}={token}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                yield (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue


def orphans(token: str, seconds: float, variable: str = TOKEN) -> list[str]:
    """Who is left after so many seconds; asked until nobody is."""
    end = time.monotonic() + seconds
    while (found := list(alive(token, variable))) and time.monotonic() < end:
        time.sleep(0.05)
    return found


@dataclass(frozen=True)
class Right:
    """What a run that nobody ends takes and makes."""

    seconds: float
    digest: str

    @classmethod
    def of(cls, place: Place, kind: str) -> Right:
        begun = time.monotonic()
        code, said = place.run(kind, "right")
        assert code == 0, said
        return cls(time.monotonic() - begun, said)


def has_begun(said: str) -> bool:
    """Whether a signal came after Python and the script that pip wrote had done what is theirs."""
    return "nix2oci: " in said or "nix2oci/cli/app.py" in said


def is_python_itself(said: str) -> bool:
    """Whether Python was interrupted while it read its own settings: its exit code is 1 then."""
    return '"<frozen site>"' in said and not has_begun(said)


def try_one(place: Place, kill: Kill, right: Right) -> tuple[str, list[str]]:
    """End a run, and let the next one go to its end: the exit code, and what is wrong."""
    token = f"{os.getpid()}-{kill.number}"
    if kill.number % 3 == 0:
        shutil.rmtree(place.directory / "cache", ignore_errors=True)
    with started(place.argv(kill.kind), place.env(token)) as process:
        time.sleep(kill.moment * right.seconds)
        process.send_signal(kill.signal)
        _, said = process.communicate(timeout=60)
        ended = process.returncode
        interrupted = kill.signal is not signal.SIGKILL
        left_alive = orphans(token, 0.0 if interrupted else SECONDS)
    wrong = []
    allowed = {0, INTERRUPTED} if interrupted else {0, -kill.signal}
    if not has_begun(said):
        allowed.add(-kill.signal)
    if is_python_itself(said):
        allowed.add(1)
    if ended not in allowed:
        wrong.append(f"exit code {ended}: {said.splitlines()[-3:]}")
    if "Traceback" in said and has_begun(said):
        wrong.append(f"a traceback: {said.splitlines()[-3:]}")
    if left_alive:
        wrong.append(f"orphans: {left_alive}")
    if interrupted and (left := place.left()):
        wrong.append(f"left at once: {sorted(left)}")
    return str(ended), [*wrong, *next_run(place, kill, right, f"{token}-next")]


def next_run(place: Place, kill: Kill, right: Right, token: str) -> list[str]:
    code, said = place.run(kill.kind, token)
    if code:
        return [f"the next run: exit code {code}: {said}"]
    wrong = []
    if said != right.digest:
        wrong.append(f"the next run: {said}, not {right.digest}")
    if not place.is_valid(kill.kind):
        wrong.append("the next run: its image is not valid")
    if left := place.left():
        wrong.append(f"left after the next run: {sorted(left)}")
    return wrong


def run(
    place: Place, numbers: range, seed: str, part: tuple[float, float] = (0.0, 1.0)
) -> tuple[Counter[str], list[str]]:
    """Try kills one after the other; how they ended by signal, and what is wrong, in words.

    All are in the same part of a run.
    """
    first, last = part
    place.run(KINDS[0], "first")  # Nix builds what it has not yet
    kinds = [kind for kind in KINDS if kind != "load" or shutil.which("podman")]
    right = {kind: Right.of(place, kind) for kind in kinds}
    ends: Counter[str] = Counter()
    findings = []
    for number in numbers:
        kill = Kill.draw(seed, number)
        kill = replace(kill, moment=first + (last - first) * kill.moment)
        if kill.kind in right:
            ended, wrong = try_one(place, kill, right[kill.kind])
            ends[f"{kill.signal.name} {ended}"] += 1
            findings += [f"{kill}: {each}" for each in wrong]
    return ends, findings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--only", type=int, help="the number of one kill")
    parser.add_argument("--seed", default="kills")
    options = parser.parse_args()
    numbers = range(options.kills)
    if options.only is not None:
        numbers = range(options.only, options.only + 1)
    begun = time.monotonic()
    cache = Path(__file__).parents[2] / ".cache"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory, ExitStack() as stack:
        place = Place.make(stack, Path(directory), cache)
        ends, findings = run(place, numbers, options.seed)
    for finding in findings[:20]:
        sys.stdout.write(f"{finding}\n")
    sys.stdout.write(
        f"{ends.total()} kills, seed {options.seed}: {dict(sorted(ends.items()))}\n"
        f"{len(findings)} findings in {time.monotonic() - begun:.0f} s\n"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
