"""`./dev bench`: how long a build takes, as ratios to plain tools on the same bytes.

    PYTHONPATH=tests python tests/bench/bench_speed.py [INSTALLABLE [RUNS]]

The default is postgresql of flakes/distro, about 7,600 files and 355 MB. Nix's own time is taken
off. docs/performance.md has the figures and what each of them means.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import NixClock, Run, median, run

# For each compression: the tool that does the same with the plain tar, and the ratio to hold.
JUDGES = {
    "none": (("openssl", "dgst", "-sha256"), 2.5),
    "gzip": (("pigz", "-6", "-p2", "-c"), 0.45),
    "zstd": (("zstd", "-3", "-T2", "-c", "-q"), 1.3),
}


def main() -> None:
    installable = sys.argv[1] if len(sys.argv) > 1 else postgresql()
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    nix = shutil.which("nix")
    assert nix is not None, "there is no nix on PATH"
    with tempfile.TemporaryDirectory(prefix="nix2oci-bench-") as scratch:
        work = Path(scratch)
        tar = plain_tar(installable, work)
        clock = NixClock(work, nix)
        print(f"tar of the closure: {tar.stat().st_size / 1e6:.0f} MB; medians of {runs} runs")
        for compression in JUDGES:
            compare(compression, installable, tar, clock, runs)


def postgresql() -> str:
    """The largest program of flakes/distro, made where the tests keep it too."""
    root = Path(__file__).parents[2]
    distro = root / ".cache/distro"
    subprocess.run([root / "flakes/distro/make", distro], check=True)
    installable = f"path:{distro}#postgresql"
    subprocess.run(["nix", "build", "--no-link", installable], check=True)
    return installable


def plain_tar(installable: str, work: Path) -> Path:
    out = subprocess.run(
        ["nix", "path-info", "-r", installable], check=True, capture_output=True, text=True
    )
    paths = work / "paths"
    paths.write_text("".join(path.lstrip("/") + "\n" for path in out.stdout.split()))
    tar = work / "closure.tar"
    subprocess.run(["tar", "-cf", tar, "-C", "/", "-T", paths], check=True)
    return tar


def compare(compression: str, installable: str, tar: Path, clock: NixClock, runs: int) -> None:
    judge, bound = JUDGES[compression]
    image = tar.parent / f"{compression}.oci"
    argv = [
        "nix2oci",
        "build",
        "--no-cache",
        "-q",
        "-o",
        str(image),
        "--compression",
        compression,
        installable,
    ]
    ours, theirs = [], []
    for number in range(runs + 1):
        shutil.rmtree(image, ignore_errors=True)
        whole = run(argv, clock.env)
        own = Run(whole.seconds - clock.take(), whole.megabytes)
        other = run([*judge, str(tar)])
        if number:  # the first one warms the caches
            ours.append(own)
            theirs.append(other)
    seconds, reference = (median([r.seconds for r in rs]) for rs in (ours, theirs))
    print(
        f"{compression}: {seconds / reference:.2f} x `{' '.join(judge)}` (bound {bound}); "
        f"{seconds:.2f} s against {reference:.2f} s; peak {max(r.megabytes for r in ours):.0f} MB"
    )
    if compression != "none":
        packed = packed_size([*judge, str(tar)], tar.parent / "packed")
        size = sum(file.stat().st_size for file in image.rglob("*") if file.is_file())
        print(f"{compression}: {size / packed:.3f} x its size ({size} against {packed} bytes)")


def packed_size(argv: list[str], to: Path) -> int:
    """Bytes that a command prints. They go to a file: a child's peak memory begins with ours."""
    with to.open("wb") as file:
        subprocess.run(argv, check=True, stdout=file)
    return to.stat().st_size


main()
