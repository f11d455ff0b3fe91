"""How the program ends when all is not well, and completion.

Interrupted, without Nix, without a reader, with a bug.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.started import started
from support.terminal import NIX2OCI, Terminal
from support.tools import require
from support.waiting import wait_for

import nix2oci


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def test_no_nix_on_path(terminal: Terminal) -> None:
    done = terminal.run("build", ".#app", "-q", PATH="/nowhere")
    assert done.stderr.splitlines()[0] == "error: cannot run nix: there is no 'nix' on PATH"
    assert (done.returncode, done.stdout, terminal.left()) == (3, "", [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_interrupted_while_nix_builds(number: signal.Signals, terminal: Terminal) -> None:
    pid = terminal.fake.directory / "started"
    terminal.fake.answer("build --json", run=f"echo $$ > {pid}; exec sleep 60")
    terminal.fake.nix()
    argv = terminal.argv("build", ".#app", "-q")
    with started(argv, terminal.env(), terminal.directory) as process:
        wait_for(pid)
        process.send_signal(number)
        printed, said = process.communicate(timeout=60)
    assert (process.returncode, printed, said.strip()) == (130, "", "interrupted")
    assert terminal.left() == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize(
    "args", [("build", ".#app", "-o", "-"), ("plan", ".#app")], ids=["an archive", "a table"]
)
def test_nobody_reads_the_output(args: tuple[str, ...], terminal: Terminal) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as out:
        done = subprocess.run(
            terminal.argv(*args, "-q"),
            cwd=terminal.directory,
            env=terminal.env(),
            stdout=out,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr, terminal.left()) == (8, b"", [])


# A command that has a bug, in a program that is otherwise the real one.
BUGGY = """
import sys, types
import click
from nix2oci import cli
from nix2oci.cli.help import COMMANDS
module = types.ModuleType("nix2oci.cli.commands.buggy")
@click.command("buggy")
@click.option("-v", "--verbose", count=True)
def buggy(verbose):
    raise ZeroDivisionError("division by zero")
module.buggy = buggy
sys.modules["nix2oci.cli.commands.buggy"] = module
COMMANDS["buggy"] = "Fail."
cli.main()
"""

IN_FINALIZER = BUGGY.replace(
    'raise ZeroDivisionError("division by zero")',
    """class Closing:
        def __del__(self): raise RecursionError("too deep")
    Closing()""",
)


@pytest.mark.parametrize("options", [(), ("-v",), ("-vv",), ("-v", "--verbose")], ids=" ".join)
def test_a_bug_is_two_lines_and_a_traceback_only_when_asked_for(options: tuple[str, ...]) -> None:
    argv = (sys.executable, "-c", BUGGY, "buggy", *options)
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    error, hint, *rest = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (70, "")
    assert error == (
        f"error: bug in nix2oci {nix2oci.__version__}: ZeroDivisionError: division by zero"
    )
    assert hint == "hint: please report it, with what -vv shows"
    assert [*rest[:1], *rest[-1:]] == (
        ["Traceback (most recent call last):", "ZeroDivisionError: division by zero"]
        if "".join(options).count("v") > 1
        else []
    )


@pytest.mark.parametrize("options", [(), ("-vv",)], ids=" ".join)
def test_what_fails_in_a_finalizer_is_shown_only_when_asked_for(options: tuple[str, ...]) -> None:
    argv = (sys.executable, "-c", IN_FINALIZER, "buggy", *options)
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert ("RecursionError: too deep" in done.stderr) == bool(options)
    assert bool(done.stderr) == bool(options)


def test_an_error_of_the_user_has_a_traceback_only_when_asked_for(terminal: Terminal) -> None:
    assert "Traceback" not in terminal.run("inspect", "x", "-v").stderr
    assert "Traceback" in terminal.run("inspect", "x", "-vv").stderr


# An interrupt in a place that makes something else of it, as the import of a class does.
SWALLOWED = """
import os, signal
{early}
import click
from nix2oci import cli
from nix2oci.cli.help import COMMANDS
import sys, types
module = types.ModuleType("nix2oci.cli.commands.slow")
@click.command("slow")
def slow():
    try:
        os.kill(os.getpid(), signal.{number})
        signal.pause()
    except BaseException:
        {then}
module.slow = slow
sys.modules["nix2oci.cli.commands.slow"] = module
COMMANDS["slow"] = "Wait."
cli.main()
"""


def ended(script: str) -> tuple[int, str, str]:
    """Exit code and what was said by a program that is interrupted in its middle."""
    with started((sys.executable, "-c", script, "slow"), {"PATH": os.defpath}) as process:
        stdout, stderr = process.communicate(timeout=60)
        return process.returncode, stdout, stderr.strip()


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    "then",
    [
        pytest.param("raise RuntimeError('Error calling __set_name__')", id="an error"),
        pytest.param("raise TypeError('expected a message') from None", id="one without a cause"),
        pytest.param("raise", id="the interrupt itself"),
    ],
)
def test_whatever_an_interrupt_becomes_is_an_interrupt(number: str, then: str) -> None:
    script = SWALLOWED.format(number=number, then=then, early="")
    assert ended(script) == (130, "", "interrupted")


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_an_interrupt_before_there_is_any_command(number: str) -> None:
    early = f"""
import importlib.abc, sys
class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "nix2oci.cli.app":
            os.kill(os.getpid(), signal.{number})
            signal.pause()
sys.meta_path.insert(0, Interrupting())
"""
    script = SWALLOWED.format(number=number, then="pass", early=early)
    assert ended(script) == (130, "", "interrupted")


# --- completion --------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_the_shell_can_read(shell: str, terminal: Terminal) -> None:
    done = terminal.run("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"_NIX2OCI_COMPLETE={shell}_complete" in done.stdout
    if shell == "bash":
        require("bash")
    if shutil.which(shell):  # zsh and fish are not among the tools that the tests need
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True)


def test_bash_completes_commands_and_options(terminal: Terminal) -> None:
    require("bash")
    script = f"""
    export PATH={Path(NIX2OCI).parent}:$PATH
    eval "$(nix2oci completion bash)"
    complete -p nix2oci
    ask() {{ COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
      _nix2oci_completion nix2oci; echo "${{COMPREPLY[@]}}"; }}
    ask nix2oci comp
    ask nix2oci build --compr
    """
    done = subprocess.run(
        ["bash", "-euc", script], env=terminal.env(), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[1:] == ["completion", "--compression"]
