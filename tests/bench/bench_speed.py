"""`./dev bench`: how long a build takes, as ratios to other tools on the same bytes.

    PYTHONPATH=tests python tests/bench/bench_speed.py [RUNS [INSTALLABLE...]]

The default are postgresql and openjdk of flakes/distro: many files, and one that is more than
half of all. Ours and each other tool take turns, and every pair is listed. Nix's own time is taken
off, and said. What the default gives is kept: docs/performance.md shows it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.measure import NixClock, Run, median, run
from bench.speed_results import Compared, Program, Results, page

ROOT = Path(__file__).parents[2]
JAVA = "openjdk-17-jre-headless"

# For each compression: the tool that does the same with the plain tar, and the ratio to hold.
JUDGES = {
    "none": ("openssl dgst -sha256", 2.2),
    "zstd": ("zstd -3 -T2 -c -q", 1.5),
    "gzip": ("pigz -6 -p2 -c", 0.42),
}


@dataclass(frozen=True, slots=True)
class Other:
    """What somebody else does with the same store paths; `bound` is for ours as a ratio to it."""

    name: str
    command: str
    bound: float | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours, with Nix and without it, and the other that ran just after it."""

    whole: Run
    nix: float
    other: Run

    @property
    def ratio(self) -> float:
        return (self.whole.seconds - self.nix) / self.other.seconds


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    installables = sys.argv[2:] or distro()
    nix = shutil.which("nix")
    assert nix is not None, "there is no nix on PATH"
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    print(f"{cores} cores, load {load:.1f}; medians of {runs} pairs")
    found = []
    for installable in installables:
        with tempfile.TemporaryDirectory(prefix="nix2oci-bench-") as scratch:
            clock = NixClock(Path(scratch), nix)
            found.append(measure(installable, Path(scratch), clock, runs))
    if len(sys.argv) == 1:
        results = Results(cores, load, found)
        results.write()
        (ROOT / "docs/performance-figures.md").write_text(page(results))
        print("written; ./dev pictures -n draws the chart again")


def distro() -> list[str]:
    """Programs of flakes/distro, made where the tests keep postgresql, too."""
    java = ROOT / ".cache/distro-java"
    subprocess.run([ROOT / "flakes/distro/make", ROOT / ".cache/distro"], check=True)
    subprocess.run([ROOT / "flakes/distro/make", java, JAVA], check=True)
    found = [f"path:{ROOT}/.cache/distro#postgresql", f"path:{java}#{JAVA}"]
    subprocess.run(["nix", "build", "--no-link", *found], check=True)
    return found


def measure(installable: str, work: Path, clock: NixClock, runs: int) -> Program:
    layers = planned_layers(installable)
    tar = plain_tar([path for paths in layers for path in paths], work)
    name, size = installable.rpartition("#")[2], tar.stat().st_size
    print(f"{name}: {size / 1e6:.0f} MB of tar in {len(layers)} layers")
    compared, sizes = {}, {}
    for compression in JUDGES:
        argv = build_argv(installable, compression, work)
        compared[compression] = [
            report(f"{name}, {compression}", other, pairs(argv, other, clock, runs))
            for other in others(compression, layers, tar, work)
        ]
        if compression != "none":
            sizes[compression] = say_size(compression, tar, work / "image.oci")
    return Program(name, size, len(layers), compared, sizes)


def planned_layers(installable: str) -> list[list[str]]:
    argv = ["nix2oci", "plan", "--json", "-q", "--entrypoint", "none", installable]
    plan = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    return [layer["paths"] for layer in plan["layers"]]


def plain_tar(paths: list[str], work: Path) -> Path:
    (work / "paths").write_text("".join(path.lstrip("/") + "\n" for path in paths))
    tar = work / "closure.tar"
    subprocess.run(["tar", "-cf", tar, "-C", "/", "-T", work / "paths"], check=True)
    return tar


def others(compression: str, layers: list[list[str]], tar: Path, work: Path) -> list[Other]:
    """The plain tool on one tar, nix2container's way, and dockerTools' stream, compressed."""
    judge, bound = JUDGES[compression]
    (work / "layers.json").write_text(json.dumps(layers))
    (work / "hash-layers").write_text("set -e\n" + "".join(map(_hashed, layers)))
    stream = f"{sys.executable} {ROOT / 'tests/bench/stream_layers.py'} {work / 'layers.json'}"
    packed = "" if compression == "none" else f" | {judge}"
    piped = f"sh -c {shlex.quote(f'{stream}{packed} >{work}/streamed')}"
    found = [Other(judge, f"{judge} {tar}", bound), Other(f"dockerTools: stream{packed}", piped)]
    hashed = Other("nix2container: tar and hash of each layer", f"sh {work / 'hash-layers'}")
    return [*found, hashed] if compression == "none" else found


def _hashed(paths: list[str]) -> str:
    """nix2container's way, from its description: the tar of a layer is hashed and not kept."""
    how = "--sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner"
    names = " ".join(shlex.quote(path[1:]) for path in paths)
    return f"tar -c {how} -C / {names} | openssl dgst -sha256 >/dev/null\n"


def build_argv(installable: str, compression: str, work: Path) -> list[str]:
    out = ["-o", str(work / "image.oci"), "--compression", compression, "--entrypoint", "none"]
    return ["nix2oci", "build", "--no-cache", "-q", *out, installable]


def pairs(argv: list[str], other: Other, clock: NixClock, runs: int) -> list[Pair]:
    """Ours and the other in turns; the first pair warms the caches and does not count."""
    found = []
    for _ in range(runs + 1):
        shutil.rmtree(argv[argv.index("-o") + 1], ignore_errors=True)
        ours = run(argv, _compiled(clock.env))
        found.append(Pair(ours, clock.take(), run(shlex.split(other.command))))
    return found[1:]


def _compiled(env: Mapping[str, str]) -> dict[str, str]:
    """No installed program is compiled at every start."""
    return {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}


def report(what: str, other: Other, found: list[Pair]) -> Compared:
    compared = Compared(
        other.name,
        other.bound,
        ours=median([pair.whole.seconds - pair.nix for pair in found]),
        other=median([pair.other.seconds for pair in found]),
        pairs=[pair.ratio for pair in found],
        ratio=median([pair.ratio for pair in found]),
        with_nix=median([pair.whole.seconds / pair.other.seconds for pair in found]),
        processor=median([pair.whole.processor / pair.other.processor for pair in found]),
        megabytes=max(pair.whole.megabytes for pair in found),
    )
    bound = f" (bound {other.bound})" if other.bound else ""
    listed = " ".join(f"{ratio:.2f}" for ratio in compared.pairs)
    print(
        f"{what}: {compared.ratio:.2f} x `{other.name}`{bound}, of {listed}; "
        f"with Nix {compared.with_nix:.2f}, processor time with Nix {compared.processor:.2f}; "
        f"{compared.ours:.2f} s against {compared.other:.2f} s; peak {compared.megabytes:.0f} MB"
    )
    return compared


def say_size(compression: str, tar: Path, image: Path) -> float:
    judge, _ = JUDGES[compression]
    packed = packed_size([*judge.split(), str(tar)], tar.parent / "packed")
    size = sum(file.stat().st_size for file in image.rglob("*") if file.is_file())
    print(f"{compression}: {size / packed:.3f} x its size ({size} against {packed} bytes)")
    return size / packed


def packed_size(argv: list[str], to: Path) -> int:
    """Bytes that a command prints. They go to a file: a child's peak memory begins with ours."""
    with to.open("wb") as file:
        subprocess.run(argv, check=True, stdout=file)
    return to.stat().st_size


main()
