"""`./dev bench`: what a build with `zstd:chunked` takes, as ratios to one with `zstd`.

    PYTHONPATH=tests python tests/bench/bench_chunked.py [PAIRS]

Whole commands, Nix included, in turns: by the clock and in time of processors, and the size of the
layers. docs/chunked.md has the figures.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import Run, median, run
from real.images import Layout

ROOT = Path(__file__).parents[2]
PROGRAMS = ("puma", "postgresql", "openjdk-17-jre-headless")
"""Of flakes/distro: small files, many of all sizes, and one that is most of all bytes."""
BOUND = 1.3


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with tempfile.TemporaryDirectory(prefix="nix2oci-bench-") as scratch:
        for program in PROGRAMS:
            distro = Path(scratch) / program
            subprocess.run([ROOT / "flakes/distro/make", distro, program], check=True)
            installable = f"path:{distro}#{program}"
            subprocess.run(["nix", "build", "--no-link", installable], check=True)
            compare(program, installable, Path(scratch) / "image.oci", pairs)


def compare(program: str, installable: str, image: Path, pairs: int) -> None:
    runs: dict[str, list[Run]] = {"zstd": [], "zstd:chunked": []}
    sizes = {}
    for _ in range(pairs + 1):
        for compression, done in runs.items():
            shutil.rmtree(image, ignore_errors=True)
            out = ["-o", str(image), "--compression", compression, "--entrypoint", "none"]
            done.append(run(["nix2oci", "build", "--no-cache", "-q", *out, installable]))
            sizes[compression] = layers_size(image)
    plain, chunked = (done[1:] for done in runs.values())  # the first ones warm the caches
    seconds = [b.seconds / a.seconds for a, b in zip(plain, chunked, strict=True)]
    processor = [b.processor / a.processor for a, b in zip(plain, chunked, strict=True)]
    print(
        f"{program}: {median(seconds):.2f} x the time of zstd (bound {BOUND}), "
        f"of {listed(seconds)}; "
        f"{median(processor):.2f} x its processor time, of {listed(processor)}; "
        f"{sizes['zstd:chunked'] / sizes['zstd']:.3f} x its size"
    )


def listed(ratios: list[float]) -> str:
    return " ".join(f"{ratio:.2f}" for ratio in ratios)


def layers_size(image: Path) -> int:
    """Bytes of the blobs of an image's layers."""
    return sum(layer["size"] for layer in Layout(image).manifest["layers"])


main()
