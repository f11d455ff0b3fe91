"""`./dev bench-slim`: what each rule of slimming saves, for ten programs.

    PYTHONPATH=tests python tests/bench/bench_slim.py

Prints the table of docs/slim.md: sizes of images in MB with gzip, and what each rule leaves out.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from real.distro import distro_flake
from support.paths import ROOT

PROGRAMS = (
    *("curl", "git", "nginx", "openssl", "perl"),
    *("postgresql", "python3", "python3-flask", "redis", "gawk"),
)
LEVELS = ("none", "1", "2")


def told(*argv: str | Path) -> Any:
    done = subprocess.run(
        ["nix2oci", *argv, "-q", "--json"], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout)


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}"


def row(name: str, sizes: Mapping[str, int], plan: Any) -> str:
    saved = [
        megabytes(each["compressed"]) + ("" if rule in plan["rules"] else " (stays)")
        for rule, each in plan["savings"].items()
    ]
    return f"| {name} | {' | '.join([*map(megabytes, sizes.values()), *saved])} |"


def main() -> None:
    distro = distro_flake(ROOT / ".cache")
    with tempfile.TemporaryDirectory(prefix="nix2oci-bench-") as scratch:
        for name in PROGRAMS:
            installable = f"path:{distro}#{name}"
            plan = told("plan", installable, "--slim", "2")["slim"]
            if name == PROGRAMS[0]:
                print("|", " | ".join(["program", *LEVELS, *plan["savings"]]), "|")
                print("|---" * (1 + len(LEVELS) + len(plan["savings"])) + "|")
            sizes = {
                level: told(
                    *("build", installable, "--slim", level, "--entrypoint", "none"),
                    *("-o", f"{scratch}/{name}-{level}.oci"),
                )["size"]
                for level in LEVELS
            }
            print(row(name, sizes, plan))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
