"""`./dev bench`: peak memory of a build, on one very large file and on very many small ones.

    PYTHONPATH=tests python tests/bench/bench_memory.py

Makes two store paths, of a file of 5 GB and of 100,000 files, and needs 15 GB of disk for it. The
peak of all processes together, Nix's too, is sampled: pages that several share count once.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from bench.measure import run

BOUND_MB = 40

# Bytes that compress like those of a program do: half of them are random.
_LARGE = """
head -c 1048576 /dev/urandom > block; head -c 1048576 /dev/zero >> block
mkdir $out; for i in $(seq 2500); do cat block; done > $out/large
"""
_MANY = """
mkdir $out; cd $out
for d in $(seq 100); do mkdir $d; for f in $(seq 1000); do echo $d $f > $d/$f; done; done
"""


def store_path(name: str, script: str, work: Path) -> str:
    """Build a store path with a shell script; the scripts need no compiler and no network."""
    expression = work / f"{name}.nix"
    expression.write_text(
        f"""derivation {{ name = "{name}"; system = builtins.currentSystem; PATH = "/usr/bin:/bin";
        builder = "/bin/sh"; args = [ "-c" ''{script.replace("$", "''$")}'' ]; }}"""
    )
    argv = ["nix-build", "--no-out-link", str(expression)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="nix2oci-bench-") as scratch:
        work = Path(scratch)
        for name, script in (("one-large-file", _LARGE), ("many-files", _MANY)):
            path = store_path(name, script, work)
            for compression in ("none", "gzip", "zstd"):
                image = str(work / f"{name}-{compression}.oci")
                argv = [
                    "nix2oci",
                    "build",
                    "--no-cache",
                    "-q",
                    "-o",
                    image,
                    "--compression",
                    compression,
                ]
                done = run([*argv, "--entrypoint", "none", path], sampled=True)
                print(
                    f"{name}, {compression}: peak of a process {done.megabytes:.0f} MB "
                    f"(bound {BOUND_MB}), of all {done.all_megabytes:.0f} MB, {done.seconds:.1f} s"
                )
                subprocess.run(["rm", "-rf", image], check=True)


main()
