"""The man pages as `man` shows them, and as linters and an installation see them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from real.images import nix2oci
from support.paths import ROOT
from support.tools import require

from nix2oci.cli.help import COMMANDS

MAN = ROOT / "share/man/man1"


def shown(page: Path) -> str:
    """What a reader sees, with lines that are long enough for anything, as plain text."""
    require("man")
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "2000", "MAN_KEEP_FORMATTING": ""}  # noqa: TID251
    argv = ("man", "--warnings", "--local-file", page)
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def words(text: str) -> str:
    """A text without what differs in form: spaces, quotes, the heading of all options."""
    return re.sub(
        r"\s|`", "", re.sub(r"^ *options:?$", "", text, flags=re.MULTILINE | re.IGNORECASE)
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_man_page_says_what_help_says(command: str) -> None:
    page = shown(MAN / f"nix2oci-{command}.1")
    assert words(f"nix2oci-{command} - {COMMANDS[command]}").removesuffix(".") in words(page)
    body = page.partition("\nDESCRIPTION\n")[2].partition("\nSEE ALSO\n")[0]
    usage, _, rest = nix2oci(command, "--help").partition("\n")
    assert words(usage.removeprefix("Usage: ")) in words(page)
    headings = re.compile(r"^(\w[\w ]*):$", re.MULTILINE)
    assert words(body) == words(headings.sub(r"\1", rest))


def test_the_page_of_the_program_has_every_command_and_exit_code() -> None:
    page = shown(MAN / "nix2oci.1")
    assert re.findall(r"^ +nix2oci-(\w+)\(1\)", page, re.MULTILINE) == list(COMMANDS)
    codes = re.findall(r"^ +(\d+) +\w", page.partition("\nEXIT STATUS\n")[2], re.MULTILINE)
    assert codes[:4] + codes[-2:] == ["0", "1", "2", "3", "70", "130"]


def test_mandoc_misses_nothing_but_the_date() -> None:
    require("mandoc")
    argv = ["mandoc", "-T", "lint", "-W", "warning", *map(str, sorted(MAN.iterdir()))]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


def test_man_finds_the_pages_of_an_installation_by_its_path() -> None:
    require("man")
    here = Path(sys.executable).parent
    env = {**os.environ, "PATH": f"{here}:{os.environ['PATH']}"}  # noqa: TID251
    env.pop("MANPATH", None)
    found = subprocess.check_output(("man", "--where", "nix2oci-build"), env=env, text=True)
    assert found == f"{here.parent}/share/man/man1/nix2oci-build.1\n"
