"""`nix2oci wrapper`: what it prints, the launcher that it writes, and how it refuses."""

from __future__ import annotations

import json
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from support.cwrapper import compile_wrapper, source
from support.tools import require

from nix2oci.launcher.encoder import MACHINES
from nix2oci.wrappers.binary import Option

NIX2OCI = str(Path(sys.executable).with_name("nix2oci"))
SHELL = "/nix/store/0c5xnk0hzyh8kf4vbcy6h7ifjl8w6fgy-bash-5.2p37/bin/bash"
NONE = "/nix/store/1b2yqj7g3smyn9bxf40hd8y1b0mvpn4s-none/bin/none"


@pytest.fixture
def printenv(tmp_path: Path) -> str:
    """A program in the store, which tells its environment, and a script without `#!` beside it."""
    require("nix-store", "printenv")
    added = tmp_path / "nix2oci-test-printenv"
    added.mkdir()
    (added / "printenv").write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"; exec printenv GREETING\n')
    (added / "plain").write_text("echo hello\n")
    for file in added.iterdir():
        file.chmod(0o555)
    done = subprocess.run(
        ["nix-store", "--add", added], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip() + "/printenv"


def script(directory: Path, *lines: str) -> Path:
    file = directory / "wrapper"
    file.write_text("\n".join((f"#! {SHELL} -e", *lines, "")))
    file.chmod(0o755)
    return file


def run(*arguments: str | Path, directory: Path) -> subprocess.CompletedProcess[str]:
    command = [NIX2OCI, "wrapper", *map(str, arguments)]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def left(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir() if file.is_file())


def test_a_line_that_runs_a_command(tmp_path: Path) -> None:
    script(tmp_path, "mkdir -p x", f'exec "{NONE}"  "$@" ')
    done = run("wrapper", "-o", "launcher", directory=tmp_path)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == (
        "error: cannot explain wrapper: line 2: run-line: the line does more than set variables "
        "and change the directory ('mkdir -p x')\n"
    )
    assert left(tmp_path) == ["wrapper"]


def test_the_reason_as_json(tmp_path: Path) -> None:
    file = script(tmp_path, "export A='b'", f'exec "{NONE}"  $FLAGS "$@" ')
    done = run("wrapper", "--json", directory=tmp_path)
    assert done.returncode == 5
    assert json.loads(done.stdout) == {
        "path": str(file),
        "refusal": {
            "reason": "flags-not-literal",
            "path": str(file),
            "line": 3,
            "text": f'exec "{NONE}"  $FLAGS "$@" ',
            "detail": 'the arguments are not plain words around one "$@"',
        },
    }


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param(
            b"\x7fELF", "cannot explain wrapper: it is a program, not a wrapper", id="a program"
        ),
        pytest.param(
            b"#!/usr/bin/python3\n",
            "cannot explain wrapper: it is a script of an interpreter that is no shell, not a "
            "wrapper",
            id="a Python script",
        ),
        pytest.param(
            b"text",
            "cannot explain wrapper: it is neither a program nor a script, not a wrapper",
            id="text",
        ),
    ],
)
def test_what_is_no_wrapper(tmp_path: Path, content: bytes, error: str) -> None:
    (tmp_path / "wrapper").write_bytes(content)
    (tmp_path / "wrapper").chmod(0o755)
    done = run("wrapper", directory=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (5, "", f"error: {error}\n")


def test_no_file(tmp_path: Path) -> None:
    done = run("wrapper", directory=tmp_path)
    assert (done.returncode, done.stdout) == (8, "")
    assert done.stderr == "error: cannot read wrapper: No such file or directory\n"


def test_a_program_that_is_not_there_is_explained_but_not_replaced(tmp_path: Path) -> None:
    file = script(tmp_path, "export A='b'", f'exec -a "$0" "{NONE}"  -x "$@" ')
    done = run("wrapper", directory=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"{file}: a wrapper script (F4, makeWrapper since 2021: one block for each element of a "
        f"list) run by {SHELL}\n"
        "  sets A to 'b'\n"
        f"  runs {NONE}\n"
        "    under the path by which the wrapper is run (argv[0])\n"
        "    with '-x' before the arguments\n"
        f"    which is not understood: {NONE}: target-missing: there is nothing at this path\n"
    )
    refused = run("wrapper", "-o", "launcher", directory=tmp_path)
    assert (refused.returncode, refused.stdout) == (5, "")
    assert refused.stderr == (
        f"error: cannot make a launcher for wrapper: {NONE}: target-missing: there is nothing at "
        "this path\n"
    )
    assert left(tmp_path) == ["wrapper"]


@pytest.mark.real
def test_the_launcher_does_the_same(tmp_path: Path, printenv: str) -> None:
    script(tmp_path, "export GREETING='hello'", f'exec "{printenv}"  -x "$@"  -y')
    done = run("wrapper", "-o", "launcher", directory=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("the launcher launcher does the same (")
    launcher = tmp_path / "launcher"
    assert stat.S_IMODE(launcher.stat().st_mode) == 0o755
    assert left(tmp_path) == ["launcher", "wrapper"]
    ran = subprocess.run([launcher, "a b"], stdout=subprocess.PIPE, text=True, check=True)
    assert ran.stdout.splitlines() == [printenv, "-x", "a b", "-y", "hello"]


@pytest.mark.real
def test_a_wrapper_as_json(tmp_path: Path, printenv: str) -> None:
    file = script(tmp_path, "unset A", "cd '/'", f'exec -a "x" "{printenv}"  "$@" ')
    done = run("wrapper", "--json", directory=tmp_path)
    assert done.returncode == 0
    shown = {"path": printenv, "is": "not understood: " + f"{printenv}:1: other-interpreter: "}
    document = json.loads(done.stdout)
    end = document["chain"].pop("files")
    document["chain"].pop("refusal")
    assert end[1]["path"] == shown["path"]
    assert end[1]["is"].startswith(shown["is"])
    assert document == {
        "path": str(file),
        "form": "f4",
        "shell": SHELL,
        "operations": [{"op": "unset", "name": "A"}, {"op": "chdir", "directory": "/"}],
        "target": printenv,
        "argv0": {"literal": "x"},
        "before": [],
        "after": [],
        "chain": {"end": "shell", "needs_shell": True},
        "launcher": None,
        "launcher_size": None,
    }


@pytest.mark.real
@pytest.mark.parametrize("machine", MACHINES)
def test_launchers_for_either_machine(tmp_path: Path, printenv: str, machine: str) -> None:
    script(tmp_path, f'exec "{printenv}"  "$@" ')
    done = run("wrapper", "-o", "launcher", "--machine", machine, "--json", directory=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    content = (tmp_path / "launcher").read_bytes()
    assert struct.unpack_from("<H", content, 18) == (MACHINES[machine],)
    document = json.loads(done.stdout)
    assert (document["launcher"], document["launcher_size"]) == ("launcher", len(content))


@pytest.mark.real
def test_a_program_that_bash_would_run_itself(tmp_path: Path, printenv: str) -> None:
    plain = os.path.dirname(printenv) + "/plain"
    script(tmp_path, f'exec "{plain}"  "$@" ')
    done = run("wrapper", "-o", "launcher", directory=tmp_path)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == (
        f"error: cannot make a launcher for wrapper: {plain}:1: target-no-shebang: the program is "
        "a script that does not name its interpreter\n"
    )


@pytest.mark.real
def test_a_launcher_that_cannot_be_written(tmp_path: Path, printenv: str) -> None:
    script(tmp_path, f'exec "{printenv}"  "$@" ')
    done = run("wrapper", "-o", "none/launcher", directory=tmp_path)
    assert (done.returncode, done.stdout) == (8, "")
    assert done.stderr == "error: cannot write none/launcher: No such file or directory\n"


@pytest.mark.real
def test_a_wrapper_binary(tmp_path: Path) -> None:
    require("gcc", "strip")
    command = (
        Option(b"--set", (b"A", b"b")),
        Option(b"--prefix", (b"PATH", b":", b"/x")),
        Option(b"--add-flags", (b"-a -b",)),
        Option(b"--inherit-argv0", ()),
    )
    file = tmp_path / "wrapper"
    compile_wrapper(source(NONE.encode(), command), file)
    done = run("wrapper", directory=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"{file}: a wrapper binary by makeBinaryWrapper (G3, since 2026: an element that is there "
        "moves)\n"
        "  sets A to 'b'\n"
        "  puts '/x' at the front of PATH (separated by ':')\n"
        f"  runs {NONE}\n"
        "    under the name that the caller gave (argv[0])\n"
        "    with '-a' '-b' before the arguments\n"
        f"    which is not understood: {NONE}: target-missing: there is nothing at this path\n"
    )
    refused = run("wrapper", "-o", "launcher", directory=tmp_path)
    assert (refused.returncode, refused.stdout) == (5, "")
    assert refused.stderr == (
        "error: cannot make a launcher for wrapper: it is a wrapper binary, which needs no shell\n"
    )
