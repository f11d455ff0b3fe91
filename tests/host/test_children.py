"""A child ends with its block, and within five seconds of a parent that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.started import started as program
from support.terminal import Terminal
from support.waiting import wait_for

from nix2oci.host.children import started

SECONDS = 5.0
PARENT = """
import sys, time
from nix2oci.host.children import started
with started(sys.argv[1:], 10) as child:
    time.sleep(60)
"""
DEAF = "trap '' TERM INT;"


def is_running(pid: int) -> bool:
    """A child of somebody who is gone is reaped by whoever gets it, at some time."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def seconds_to_end(file: Path) -> float:
    """How long the process whose number is in a file goes on, when that is not over half a minute.

    What it is in the end is ended here.
    """
    pid, begun = int(file.read_text()), time.monotonic()
    while is_running(pid) and time.monotonic() < begun + 30:
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return time.monotonic() - begun


@pytest.mark.parametrize("deaf", ["", DEAF], ids=["a child that listens", "a deaf one"])
def test_a_child_does_not_outlive_who_started_it(deaf: str, tmp_path: Path) -> None:
    script = f"{deaf} echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; exec sleep 60"
    argv = [sys.executable, "-c", PARENT, "sh", "-c", script]
    with program(argv, {"PATH": os.defpath}) as parent:
        wait_for(tmp_path / "pid")
        time.sleep(0.5)  # it is begun before its number is told, however little
        parent.kill()
        parent.wait()
        assert seconds_to_end(tmp_path / "pid") < SECONDS


def test_nor_does_the_guard(tmp_path: Path) -> None:
    find = f"ps -o pid= --ppid $PPID | head -1 > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid"
    code = PARENT.replace("with started", "with started(['true'], 1): pass\nwith started")
    argv = [sys.executable, "-c", code, "sh", "-c", f"{find}; exec sleep 60"]
    with program(argv, {"PATH": os.defpath}) as parent:
        wait_for(tmp_path / "pid")
        parent.kill()
        parent.wait()
        assert seconds_to_end(tmp_path / "pid") < SECONDS


@pytest.mark.parametrize("deaf", ["", DEAF], ids=["a child that listens", "a deaf one"])
def test_a_block_that_is_left_has_no_child_any_more(deaf: str) -> None:
    argv = ["sh", "-c", f"{deaf} echo; exec sleep 60"]
    with started(argv, 1, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
    assert child.returncode == -(signal.SIGKILL if deaf else signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_a_child_is_started_ends_it(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            if "sleep" not in args[0]:
                return  # the guard
            begun.append(self)
            os.kill(os.getpid(), number)
            time.sleep(0)  # where a handler would run

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), started(["sleep", "60"], 1):
            raise AssertionError("the block has begun")
    finally:
        signal.signal(number, before)
    assert [child.returncode for child in begun] == [-signal.SIGTERM]


def wait_with(terminal: Terminal, which: str, deaf: str) -> tuple[Path, tuple[str, ...]]:
    """Let a program of a build wait; where its number will be, and the command that starts it."""
    pid = terminal.fake.directory / "pid"
    wait = f"{deaf} echo $$ > {pid}; exec sleep 60"
    if which == "docker load":
        (bin_ := terminal.fake.bin / "docker").write_text(
            f"#!/bin/sh\ncase $1 in load) {wait};; *) echo linux/amd64;; esac\n"
        )
        bin_.chmod(0o755)
        return pid, ("build", ".#app", "-q", "--load", "docker")
    del terminal.fake.rules[1:]  # the first is that of path-info
    terminal.fake.answer(which, run=wait)
    terminal.fake.nix()
    origin = ("--from", "http://localhost:1", "--no-check-sigs") if which == "dump-path" else ()
    return pid, ("build", ".#app", "-q", *origin)


@pytest.mark.parametrize("deaf", ["", DEAF], ids=["a child that listens", "a deaf one"])
@pytest.mark.parametrize("which", ["build --json", "dump-path", "docker load"])
def test_what_a_killed_build_started_ends_and_what_it_left_goes_with_the_next(
    which: str, deaf: str, tmp_path: Path
) -> None:
    terminal = Terminal.make(tmp_path)
    for name in ("scratch", "again"):
        (tmp_path / name).mkdir()
    scratch = tmp_path / "scratch"
    pid, args = wait_with(terminal, which, deaf)
    env = terminal.env(TMPDIR=str(scratch))
    with program(terminal.argv(*args), env, terminal.directory) as process:
        wait_for(pid)
        time.sleep(0.5)
        process.kill()
        process.wait()
        assert seconds_to_end(pid) < SECONDS
    assert os.listdir(scratch) != []
    plain = Terminal.make(tmp_path / "again")
    assert plain.run("build", ".#app", "-o", "app.tar", TMPDIR=str(scratch)).returncode == 0
    assert os.listdir(scratch) == []
