"""What a build says of a shell that goes by a list or by evidence, and what its image has then."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.fakenix import OUT
from support.fakestore import Node, Program
from support.json_page import documented
from support.terminal import Terminal
from support.wrapped_app import BASH, ELF, PYTHON, SUBPROCESS, give, wrapper

from nix2oci.model.dead_mentions import PLACES

INIT = Program(f"#!{BASH}/bin/bash\necho start\n".encode())
SERVICE: Node = {b"bin": {b"app": Program(ELF)}, b"etc": {b"init.d": {b"app": INIT}}}
SCRIPTS: Node = {b"bin": {b"app": Program(ELF)}, b"libexec": {b"tidy-up": INIT}}

assert isinstance(SUBPROCESS, dict)
INTERPRETER: Node = {**SUBPROCESS, b"bin": {b"python3": Program(ELF)}}


def application(source: str) -> Node:
    program = Program(f"#!{PYTHON}/bin/python3\n{source}".encode())
    return {b"bin": {b"app": wrapper(b"export A='1'"), b".app-wrapped": program}}


QUIET = application("print('hello')\n")
CALLS = application(
    "import subprocess\ndef run_hook(x): subprocess.run(x, shell=True)\nrun_hook(1)\n"
)


@pytest.fixture
def here(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def build(terminal: Terminal, mode: str, *options: str) -> Any:
    done = terminal.run("build", ".#app", "--json", "-o", "x", "--shell", mode, *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["shell"]


def said(terminal: Terminal, mode: str, *options: str) -> list[str]:
    done = terminal.run("build", ".#app", "-o", "x", "--shell", mode, *options)
    assert done.returncode == 0, done.stderr
    lines = [line.removeprefix("nix2oci: ") for line in done.stderr.splitlines()]
    return [line for line in lines if re.search(r"bash|shell|call", line) and "looking" not in line]


@pytest.mark.parametrize("mode", ["auto", "evident"])
@pytest.mark.parametrize("layers", ["1", "64"])
def test_a_script_of_init_goes_with_the_shell(here: Terminal, mode: str, layers: str) -> None:
    give(here, SERVICE)
    document = build(here, mode, "--max-layers", layers)
    assert document["hidden"] == [f"{OUT}/etc/init.d/app"]
    assert [each["rule"] for each in document["discounted"]] == ["init"]
    assert here.run("validate", "x").stdout == "x is valid: 0 errors, 0 warnings\n"
    assert here.run("ls", "x", f"{OUT}/etc/init.d").stdout == ""
    assert "/etc/init.d/app" not in here.run("ls", "-R", "x", "/etc").stdout


def test_it_is_told_in_a_line_and_in_the_image(here: Terminal) -> None:
    give(here, SERVICE)
    line = "dropped readline-8 and bash-5.2: 5.8 kB; 1 file names it and starts nothing"
    assert said(here, "auto") == [line]
    assert here.run("inspect", "-v", "x").stdout.splitlines()[-2:] == [
        f"{OUT}/etc/init.d/app does not count, by proof: {PLACES[2].reason}",
        f"hidden: {OUT}/etc/init.d/app",
    ]
    plan = here.run("plan", ".#app").stdout
    assert f"  {OUT}/etc/init.d/app:1: init starts it" in plan
    assert "[init, proof, hidden]" in plan


def test_an_entrypoint_that_is_such_a_script_keeps_its_shell(here: Terminal) -> None:
    give(here, SERVICE)
    document = build(here, "auto", "--entrypoint", f"{OUT}/etc/init.d/app")
    assert (document["dropped"], document["hidden"]) == ([], [])


def test_evidence_is_called_so(here: Terminal) -> None:
    give(here, SCRIPTS)
    assert build(here, "auto")["dropped"] == []
    line = "dropped readline-8 and bash-5.2: 5.8 kB, by evidence, not proof: "
    assert said(here, "evident") == [f"{line}1 file names it and starts nothing"]


def test_python_that_calls_no_shell_is_evidence(here: Terminal) -> None:
    give(here, QUIET, python=INTERPRETER)
    assert build(here, "auto")["dropped"] == []
    (line,) = said(here, "evident")
    assert line.startswith(
        "1 wrapper became a launcher; dropped readline-8 and bash-5.2: 5.8 kB, by"
    )
    assert line.endswith(
        ": 1 file names it and starts nothing, "
        "and 1 Python module that the programs reach calls no shell"
    )
    assert here.run("ls", "x", f"{PYTHON}/lib/python3.13/subprocess.py").returncode == 0


def test_a_call_keeps_the_shell_and_is_told_with_its_line(here: Terminal) -> None:
    give(here, CALLS, python=INTERPRETER)
    document = build(here, "evident")
    (staying,) = document["staying"]
    (call,) = staying["calls"]
    assert (call["file"], call["line"], call["certain"]) == (f"{OUT}/bin/.app-wrapped", 3, True)
    name = OUT[44:]
    assert said(here, "evident", "-v")[-3:] == [
        "bash-5.2 stays: 1 Python module calls a shell",
        f"{name}/bin/.app-wrapped:3 calls shell=True (run_hook)",
        "'--shell drop' would save 5.8 kB and break run_hook",
    ]


@pytest.mark.parametrize("mode", ["auto", "evident", "forbid"])
def test_a_call_keeps_a_shell_that_only_a_script_of_init_names(here: Terminal, mode: str) -> None:
    init: Node = {b"etc": {b"init.d": {b"x": INIT}}, b"bin": {b"python3": Program(ELF)}}
    give(here, CALLS, python=init)
    if mode != "forbid":
        assert build(here, mode)["dropped"] == []
        return
    done = here.run("build", ".#app", "-o", "x", "--shell", mode)
    assert done.returncode == 5
    assert (
        f"  {OUT[44:]}/bin/.app-wrapped:3 calls shell=True (run_hook)" in done.stderr.splitlines()
    )


def test_what_is_found_is_kept(here: Terminal) -> None:
    give(here, QUIET, python=INTERPRETER)
    first = build(here, "evident")
    assert build(here, "evident") == first


def test_json_of_what_did_not_count_has_the_keys_that_are_documented(here: Terminal) -> None:
    give(here, QUIET, python=INTERPRETER)
    (found, *_) = build(here, "evident")["discounted"]
    assert set(found) == documented("shell", 3) | documented("shell", 4)


def test_json_of_a_call_has_the_keys_that_are_documented(here: Terminal) -> None:
    give(here, CALLS, python=INTERPRETER)
    (call,) = build(here, "evident")["staying"][0]["calls"]
    assert set(call) == documented("shell", 5)
