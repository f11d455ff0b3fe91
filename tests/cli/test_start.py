"""What a start loads and makes: each module and class costs every run of the command a little.

The ceilings are the table of docs/performance.md, *What a start loads*. Whoever raises one writes
there what it is for.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import nix2oci

TOP = Path(nix2oci.__file__).parent
PAGE = TOP.parent / "docs" / "performance.md"
PROGRAM = str(Path(sys.executable).with_name("nix2oci"))
ROW = re.compile(r"\| `nix2oci (.+?)`[^|]*\| (\d+) \| (\d+) \| (\d+) \|")
LOADED = re.compile(r"import time: +\d+ \| +\d+ \| +(\S+)")


def ceilings() -> dict[str, tuple[int, ...]]:
    """By command: our modules, our classes, all modules but those of click."""
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    return {command: tuple(map(int, numbers)) for command, *numbers in rows}


def modules(argv: Sequence[str], directory: Path) -> list[str]:
    """The modules that a command loads, in order, until it asks Nix."""
    nix = directory / "nix"
    nix.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    nix.chmod(0o755)
    (directory / "flake.nix").write_text("{ }", encoding="utf-8")
    env = {"PATH": f"{directory}:/usr/bin:/bin", "HOME": str(directory)}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *argv],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env=env,
    )
    before_nix = done.stderr.partition("nix2oci: evaluating ")[0]
    return LOADED.findall(before_nix)


def classes(module: str) -> list[type]:
    found = vars(importlib.import_module(module)).values()
    return [each for each in found if isinstance(each, type) and each.__module__ == module]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("--help", id="the list of commands is printed without any library"),
        pytest.param("build --help", id="the help of a command loads its options alone"),
        pytest.param("build", id="a build loads what asks Nix, and the rest while Nix works"),
    ],
)
def test_a_start_loads_and_makes_no_more_than_the_page_says(command: str, tmp_path: Path) -> None:
    argv = [PROGRAM, *command.split(), *(["path:."] if command == "build" else [])]
    given = set(modules(["-c", "import click, re"], tmp_path))  # pip's scripts import re
    loaded = [name for name in modules(argv, tmp_path) if name not in given]
    ours = [name for name in loaded if re.match(r"nix2oci\b", name)]
    made = [each for name in ours for each in classes(name)]
    counted = (len(ours), len(made), len(loaded))
    assert ours, "it did not start"
    assert all(n <= most for n, most in zip(counted, ceilings()[command], strict=True)), (
        f"{counted} modules of ours, classes, and modules are over {ceilings()[command]}: load"
        f" them later, or raise the ceiling in {PAGE.name} with the reason: {' '.join(loaded)}"
    )


def test_the_page_has_a_row_for_each_start() -> None:
    assert sorted(ceilings()) == ["--help", "build", "build --help"]


def test_what_a_build_loads_late_is_not_there_before_nix_is_asked(tmp_path: Path) -> None:
    """Each of these costs a start more than all values of ours together."""
    late = {"hashlib", "multiprocessing", "rich", "tarfile", "tempfile", "urllib3", "yaml"}
    assert late.isdisjoint(modules([PROGRAM, "build", "path:."], tmp_path))
