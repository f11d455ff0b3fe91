"""Standard streams that are closed, full, or read by nobody have their exit codes, and never 70.

The shell makes the streams, so that the program is started as cron or a service would start it.
"""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from support.smallimage import SmallImage
from support.terminal import Terminal

FULL = "error: cannot write to standard output: No space left on device\n"
CLOSED = "error: cannot write to standard output: Bad file descriptor\n"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    made = Terminal.make(tmp_path)
    SmallImage().write(made.directory / "image")
    return made


def shell(terminal: Terminal, command: str, streams: str) -> tuple[int, str, str]:
    """The exit code, and what was printed and said."""
    argv = shlex.join(terminal.argv(*command.split()))
    done = subprocess.run(
        ["/bin/sh", "-c", f"{argv} {streams}"],
        cwd=terminal.directory,
        env=terminal.env(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("streams", "said"),
    [
        pytest.param(">/dev/full", FULL, id="stdout is full"),
        pytest.param(">&-", CLOSED, id="stdout is closed"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        pytest.param("inspect -q image", id="text"),
        pytest.param("inspect -q image --json", id="JSON"),
        pytest.param("build -q .#app -o -", id="an archive"),
        pytest.param("ls image", id="names of files"),
        pytest.param("cat image /etc/passwd", id="a file of an image"),
        pytest.param("export image", id="all files of an image"),
        pytest.param("--help", id="the list of commands"),
        pytest.param("build --help", id="the help of a command"),
    ],
)
def test_what_was_asked_for_cannot_be_written(
    command: str, streams: str, said: str, terminal: Terminal
) -> None:
    assert shell(terminal, command, streams) == (8, "", said)


@pytest.mark.parametrize(
    ("streams", "command"),
    [
        pytest.param(">&-", "build -q .#app", id="a reference, and stdout is closed"),
        pytest.param(">/dev/full", "popularity -q .#app", id="a file, and stdout is full"),
        pytest.param(">/dev/full", "completion bash", id="a script, and stdout is full"),
        pytest.param(">&-", "--version", id="the version, and stdout is closed"),
        pytest.param(">&- 2>&-", "plan .#app", id="both are closed"),
        pytest.param(">/dev/full 2>/dev/full", "plan .#app", id="both are full"),
        pytest.param("<&- >&- 2>&-", "validate image", id="all three are closed"),
    ],
)
def test_it_is_never_a_bug(streams: str, command: str, terminal: Terminal) -> None:
    code, printed, said = shell(terminal, command, streams)
    assert (code, printed) == (8, "")
    assert said in {"", FULL, CLOSED}


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param("inspect image", 0, id="it is done"),
        pytest.param("validate image", 0, id="the image is valid"),
        pytest.param("inspect nothing", 8, id="a file is not there"),
        pytest.param("inspect", 2, id="an argument is missing"),
        pytest.param("--version", 0, id="nothing is said"),
    ],
)
def test_without_standard_error_a_command_does_what_it_does(
    command: str, code: int, terminal: Terminal
) -> None:
    usual, printed, _ = shell(terminal, command, "")
    assert (usual, shell(terminal, command, "<&- 2>&-")[:2]) == (code, (code, printed))


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param("validate image", 8, id="progress cannot be said"),
        pytest.param("validate -q image", 0, id="nothing is said"),
        pytest.param("-q", 2, id="an error has its own exit code"),
        pytest.param("inspect nothing", 8, id="a file is not there"),
    ],
)
def test_standard_error_is_full(command: str, code: int, terminal: Terminal) -> None:
    assert shell(terminal, command, "2>/dev/full")[0] == code


def test_no_file_takes_the_place_of_a_closed_stream(terminal: Terminal) -> None:
    """What is said must not go into a file that is open, such as the image itself."""
    assert shell(terminal, "build .#app -o made.tar", "<&- >&- 2>&-")[0] == 8
    assert shell(terminal, "build .#app -o whole.tar", "2>&-")[0] == 0
    made, whole = (terminal.directory / name for name in ("made.tar", "whole.tar"))
    assert made.read_bytes() == whole.read_bytes()
