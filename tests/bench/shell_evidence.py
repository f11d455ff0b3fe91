"""`./dev shell-evidence`: which real programs lose their shell, by what, and whether they work.

Prints the table of docs/shell.md. Each image from which a shell was dropped does a piece of its
program's real work under strace; an `execve` of a shell, or a failure, ends with status 1.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from real.distro import MAKE
from real.images import NIX2OCI
from real.shell_programs import PROGRAMS, Program
from real.traced_root import TracedRoot

MODES = ("auto", "evident")
CACHE = Path(__file__).parents[2] / ".cache" / "shell-evidence"


def main(names: Sequence[str]) -> int:
    chosen = [program for program in PROGRAMS if not names or program.name in names]
    subprocess.run([MAKE, CACHE, *debian_names(chosen)], check=True)
    print("| program | `auto` | `evident` | what decides | its work without a shell |")
    print("|---|---|---|---|---|")
    failed = False
    for program in chosen:
        cells, is_right = row(program)
        print(f"| {' | '.join(cells)} |", flush=True)
        failed |= not is_right
    return int(failed)


def debian_names(programs: Iterable[Program]) -> list[str]:
    """As this Debian has them: PostgreSQL is the version that it brings."""
    return [newest() if each.name == "postgresql" else each.package for each in programs]


def newest() -> str:
    shown = subprocess.run(
        ["apt-cache", "depends", "postgresql"], capture_output=True, text=True, check=True
    )
    found = re.search(r"postgresql-\d+", shown.stdout)
    assert found, "apt knows no PostgreSQL"
    return found[0]


def row(program: Program) -> tuple[list[str], bool]:
    with tempfile.TemporaryDirectory(prefix="n2o-") as directory:
        images = {mode: Path(directory) / mode for mode in MODES}
        shells = {mode: build(program, mode, image) for mode, image in images.items()}
        dropped = {mode: bool(shell["dropped"]) for mode, shell in shells.items()}
        never = not (shells["auto"]["dropped"] or shells["auto"]["staying"])
        last = "evident" if dropped["evident"] else ""
        worked, is_right = "", True
        if last or never:
            worked, is_right = work(program, images["evident"], Path(directory) / "unpacked")
        how = ["none there" if never else "goes" if dropped[mode] else "stays" for mode in MODES]
        return [program.name, *how, why(shells["evident"]), worked], is_right


def build(program: Program, mode: str, image: Path) -> Any:
    start = ("--entrypoint", program.start) if program.start else ()
    installable = f"path:{CACHE.resolve()}#{program.name}"
    command: tuple[str | Path, ...] = (NIX2OCI, "build", installable, *start)
    options = ("-o", image, "--shell", mode, "--json", "-q", "--compression", "none")
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{program.name}: {done.stderr}"
    return json.loads(done.stdout)["shell"]


def work(program: Program, image: Path, directory: Path) -> tuple[str, bool]:
    if program.work is None:
        return "", True
    root = TracedRoot.of(image, directory)
    try:
        program.work(root)
    except (AssertionError, OSError) as err:
        print(f"{program.name}: {err}", file=sys.stderr)
        return "failed", False
    shells = root.shells()
    return (f"{program.does}", True) if not shells else (f"started {shells[0]}", False)


def why(shell: Any) -> str:
    """The rules by which mentions do not count, or what keeps a shell."""
    if shell["dropped"]:
        rules = sorted({each["rule"] for each in shell["discounted"]})
        return ", ".join(f"`{rule}`" for rule in rules) or "wrappers alone named it"
    if not shell["staying"]:
        return "its closure has none"
    (first, *_) = shell["staying"]
    told = sorted(first["calls"], key=lambda call: not call["certain"])
    calls = [f"`{short(each['file'])}:{each['line']}` ({each['feature']})" for each in told]
    files = sorted(
        (f"`{short(each['file'])}`" for each in first["files"]),
        key=lambda file: (not file.startswith("`bin/"), file),
    )
    found = calls or files
    return f"{found[0]} and {len(found) - 1} more" if found[1:] else found[0]


def short(path: str) -> str:
    """A file by its name in its package."""
    inside = re.sub(r"^/nix/store/\w{32}-", "", path)
    return re.sub(r"lib/python[\d.]+/site-packages/", "", inside.partition("/")[2])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
