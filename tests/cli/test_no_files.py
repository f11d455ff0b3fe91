"""Only regular files are read: pipes, devices and directories in their places are errors at once.

A pipe that nobody writes to would keep a command waiting, and a device has no end.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.smallimage import SmallImage
from support.terminal import Terminal


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def directory(path: Path) -> None:
    path.mkdir()


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    made = Terminal.make(tmp_path)
    SmallImage().write(made.directory / "image")
    return made


def blob(number: int) -> Callable[[Path], Path]:
    """The largest blob of a layout, or a smaller one."""

    def chosen(root: Path) -> Path:
        blobs = sorted((root / "image/blobs/sha256").iterdir(), key=lambda p: -p.stat().st_size)
        return blobs[number]

    return chosen


KINDS = [
    pytest.param(pipe, "it is no file", id="a pipe"),
    pytest.param(device, "it is no file", id="a device"),
    pytest.param(directory, "Is a directory", id="a directory"),
]


@pytest.mark.parametrize(("put", "cause"), KINDS)
@pytest.mark.parametrize(
    ("command", "name"),
    [
        pytest.param("inspect image", "image/index.json", id="the index of a layout"),
        pytest.param("validate image", "image/index.json", id="the index, which is checked"),
        pytest.param("validate image", "image/oci-layout", id="the mark of a layout"),
        pytest.param("build .#app -o image", "image/oci-layout", id="the mark where images go"),
        pytest.param("plan --closure record", "record", id="a recorded closure"),
        pytest.param("plan .#app --config file", "file", id="nix2oci.yaml"),
        pytest.param("plan .#app --popularity file", "file", id="a popularity index"),
        pytest.param("plan .#app --plan-from file.json", "file.json", id="an earlier plan"),
    ],
)
def test_what_is_no_file_is_an_error(
    put: Callable[[Path], None], cause: str, command: str, name: str, terminal: Terminal
) -> None:
    place = terminal.directory / name
    place.unlink(missing_ok=True)
    put(place)
    done = terminal.run(*command.split(), "-q")
    assert (done.returncode, done.stdout) == (8, "")
    assert cause in done.stderr.splitlines()[0]


@pytest.mark.parametrize(
    ("put", "code", "cause"),
    [
        pytest.param(pipe, 8, "it is no file", id="a pipe"),
        pytest.param(device, 2, "its 'index.json' is a link to another place", id="a link"),
        pytest.param(directory, 8, "Is a directory", id="a directory"),
    ],
)
def test_an_image_is_not_written_where_the_index_is_no_file(
    put: Callable[[Path], None], code: int, cause: str, terminal: Terminal
) -> None:
    place = terminal.directory / "image/index.json"
    place.unlink()
    put(place)
    done = terminal.run("build", ".#app", "-o", "image", "-q")
    assert (done.returncode, done.stdout) == (code, "")
    assert cause in done.stderr.splitlines()[0]


@pytest.mark.parametrize(("put", "cause"), KINDS[:2])
@pytest.mark.parametrize("command", ["inspect", "validate", "why", "index"])
def test_a_blob_that_is_no_file(
    put: Callable[[Path], None], cause: str, command: str, terminal: Terminal
) -> None:
    more = {"why": ("app",), "index": ("-o", "joined")}
    place = blob(0)(terminal.directory)
    place.unlink()
    put(place)
    done = terminal.run(command, "image", *more.get(command, ()), "-q")
    assert (done.returncode, done.stdout) == (8, "")
    assert cause in done.stderr.splitlines()[0]


@pytest.mark.parametrize(("put", "cause"), KINDS[:2])
def test_an_image_that_is_no_file(
    put: Callable[[Path], None], cause: str, terminal: Terminal
) -> None:
    put(terminal.directory / "archive.tar")
    done = terminal.run("inspect", "archive.tar", "-q")
    assert done.returncode == 8
    assert done.stderr.splitlines()[0] == f"error: cannot read image at archive.tar: {cause}"


@pytest.mark.parametrize("put", [pipe, device, directory])
@pytest.mark.parametrize("kind", ["layers", "blobs/sha256"])
def test_what_is_no_file_in_the_cache_is_not_used(
    put: Callable[[Path], None], kind: str, terminal: Terminal
) -> None:
    first = terminal.run("build", ".#app", "-o", "first.tar", "-q")
    cache = terminal.fake.directory / ".cache" / "nix2oci"
    kept = [path for path in (cache / kind).iterdir() if path.is_file()]
    for path in kept:
        path.unlink()
        put(path)
    again = terminal.run("build", ".#app", "-o", "again.tar", "-q")
    made = [(terminal.directory / name).read_bytes() for name in ("first.tar", "again.tar")]
    assert (first.returncode, again.returncode) == (0, 0)
    assert kept, "nothing was kept"
    assert made[0] == made[1]


@pytest.mark.parametrize(
    "path", [pytest.param("", id="an unset variable"), pytest.param("a\nb", id="two lines")]
)
@pytest.mark.parametrize("command", ["build .#app", "index image --tag app:1"])
def test_an_image_goes_to_a_path_in_one_line(command: str, path: str, terminal: Terminal) -> None:
    before = terminal.left()
    done = terminal.run(*command.split(), "-o", path)
    assert (done.returncode, done.stdout, terminal.left()) == (2, "", before)
    assert done.stderr == "error: cannot write an image: -o needs a path, in one line\n"
