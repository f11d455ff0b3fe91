"""Images whose shell goes by a list or by evidence: real programs do their work under strace.

All programs, with the reason for each: `./dev shell-evidence`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from real.distro import sample
from real.images import nix2oci
from real.shell_programs import Work, nginx, redis, web
from real.traced_root import TracedRoot

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Case:
    """A program of the stand-in, or of a sample flake, and what it is to do."""

    name: str
    mode: str
    rules: frozenset[str]
    """By which its mentions may start nothing: distributions differ in what names a shell."""
    work: Work
    start: str = ""


WORKS = [
    pytest.param(Case("redis", "auto", frozenset({"init", "no-way"}), redis, "redis-server")),
    pytest.param(Case("nginx", "auto", frozenset({"init"}), nginx)),
    pytest.param(Case("web-python", "evident", frozenset({"python-calls"}), web)),
]


def installable(distro: Path, name: str) -> tuple[str, ...]:
    flake, _, attribute = name.partition("#")
    is_sample = flake in ("web-python", "wrapped")
    return (
        sample(distro, flake, attribute or "default") if is_sample else (f"path:{distro}#{name}",)
    )


def planned(distro: Path, name: str, mode: str, *options: str) -> Any:
    found = nix2oci("plan", *installable(distro, name), "--json", "--shell", mode, *options)
    return json.loads(found)["shell"]


@pytest.mark.parametrize("case", WORKS, ids=lambda case: case.name)
def test_a_program_that_lost_its_shell_does_its_work_and_starts_none(
    case: Case, distro: Path, scratch: Path
) -> None:
    image = scratch / f"evidence-{case.name}"
    start = ("--entrypoint", case.start) if case.start else ()
    options = ("-o", image, "--shell", case.mode, "--compression", "none", "--json", *start)
    document = json.loads(nix2oci("build", *installable(distro, case.name), *options))
    shell = document["shell"]
    assert any("-bash-" in path["path"] for path in shell["dropped"])
    rules = {each["rule"] for each in shell["discounted"]}
    assert rules, "nothing named the shell"
    assert rules <= case.rules
    assert "-bash-" not in nix2oci("validate", image)
    root = TracedRoot.of(image, scratch / f"unpacked-{case.name}")
    case.work(root)
    assert root.executed()[0] == root.argv[0]
    assert root.shells() == []


def test_evidence_of_python_is_none_for_auto(distro: Path) -> None:
    shell = planned(distro, "web-python", "auto")
    (bash,) = shell["staying"]
    names = [re.sub(r"^.*/|(?<=-3)\d+", "", each["file"]) for each in bash["files"]]
    assert names == ["subprocess.cpython-3.pyc", "subprocess.py"]


@pytest.mark.parametrize("mode", ["auto", "evident"])
def test_an_application_with_a_shell_of_its_own_keeps_it(distro: Path, mode: str) -> None:
    shell = planned(distro, "wrapped#python", mode)
    assert shell["dropped"] == []
    if mode == "evident":
        (call,) = shell["staying"][0]["calls"]
        assert (call["file"].rpartition("/")[2], call["line"]) == ("app.py", 8)
        assert (call["call"], call["certain"]) == ("shell=True", True)


@pytest.mark.parametrize("name", ["git", "postgresql", "wrapped#script", "wrapped#run"])
def test_programs_that_are_scripts_keep_their_shell(distro: Path, name: str) -> None:
    start = {"git": "git", "postgresql": "postgres"}.get(name)
    options = ("--entrypoint", start) if start else ()
    for mode in ("auto", "evident"):
        assert planned(distro, name, mode, *options)["dropped"] == []
