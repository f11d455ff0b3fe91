"""A file that a command writes: all of it or nothing, for those that the umask lets read it."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
from pathlib import Path

import pytest
from support.terminal import Terminal

from nix2oci.errors import OutputError
from nix2oci.oci.layout.staging import staging_directory
from nix2oci.publish.write_file import check_writable, write_file


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def left(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_bytes(b"longer than the new one")
    write_file(str(file), b"new")
    assert (file.read_bytes(), left(tmp_path)) == (b"new", ["page.html"])


@pytest.mark.parametrize(
    ("umask", "plain", "executable"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)]
)
def test_the_umask_decides_who_may_read_it(
    tmp_path: Path, umask: int, plain: int, executable: int
) -> None:
    os.umask(umask)
    write_file(str(tmp_path / "page.html"), b"")
    write_file(str(tmp_path / "launcher"), b"", executable=True)
    assert (mode(tmp_path / "page.html"), mode(tmp_path / "launcher")) == (plain, executable)


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/page.html")
    write_file(str(tmp_path / "link"), b"new")
    assert os.readlink(tmp_path / "link") == "there/page.html"
    assert (tmp_path / "there/page.html").read_bytes() == b"new"


def test_a_file_on_its_way_is_left_alone_by_a_build_beside_it(tmp_path: Path) -> None:
    with staging_directory(str(tmp_path)) as mine:
        write_file(str(tmp_path / "meta.json"), b"new")
        assert left(tmp_path) == sorted([os.path.basename(mine), "meta.json"])


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_file(str(pipe), b"new")
    reader.join()
    assert (read, stat.S_ISFIFO(pipe.stat().st_mode)) == ([b"new"], True)


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        pytest.param("none/page.html", "No such file or directory", id="no such directory"),
        pytest.param(".", "Is a directory", id="a directory"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, cause: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError) as raised:
        write_file(path, b"new")
    assert str(raised.value) == f"cannot write {path}: {cause}"
    assert left(tmp_path) == []


def test_a_full_disk_leaves_what_was_there() -> None:
    with pytest.raises(OutputError) as raised:
        write_file("/dev/full", b"new")
    assert str(raised.value) == "cannot write /dev/full: No space left on device"


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        pytest.param("--metadata none/x", "none/x: No such file or directory", id="no directory"),
        pytest.param("--image-refs here", "here: Is a directory", id="a directory"),
        pytest.param("--image-refs file/x", "file/x: Not a directory", id="below a file"),
        pytest.param(
            *("-o made/app.oci --metadata made/other/x", "made/other/x: No such file or directory"),
            id="a directory that the image does not bring either",
        ),
    ],
)
def test_what_could_not_be_written_ends_a_build_before_it_begins(
    tmp_path: Path, flags: str, cause: str
) -> None:
    terminal = Terminal.make(tmp_path)
    (terminal.directory / "here").mkdir()
    (terminal.directory / "file").touch()
    done = terminal.run("build", ".#app", *flags.split())
    assert (done.returncode, done.stdout, done.stderr) == (8, "", f"error: cannot write {cause}\n")
    assert left(terminal.directory) == ["file", "here"]


def test_a_file_in_a_directory_that_the_image_brings_is_written(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path)
    args = ("build", ".#app", "-o", "made/new/app.oci")
    done = terminal.run(*args, "--metadata", "made/new/x", "--image-refs", "made/y")
    assert done.returncode == 0, done.stderr
    assert left(terminal.directory / "made") == ["new", "y"]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("plan --html none/x", id="the page of a plan"),
        pytest.param("popularity -o none/x", id="an index of popularity"),
    ],
)
def test_so_it_does_other_commands_that_take_long(tmp_path: Path, line: str) -> None:
    terminal = Terminal.make(tmp_path)
    done = terminal.run(*line.split(), ".#app")
    assert (done.returncode, done.stdout) == (8, "")
    assert done.stderr == "error: cannot write none/x: No such file or directory\n"


def test_a_pipe_is_not_opened_before_there_is_something_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(tmp_path / "pipe", os.O_WRONLY)
    check_writable(str(tmp_path / "pipe"), None)
    os.write(writer, b"still open")
    assert os.read(reader, 100) == b"still open"
    assert left(tmp_path) == ["pipe"]
    os.close(writer)
    os.close(reader)


@pytest.mark.parametrize("output", ["web.tar", "-"], ids=["beside a file", "where TMPDIR is"])
def test_a_build_leaves_what_others_made_where_it_writes(tmp_path: Path, output: str) -> None:
    terminal = Terminal.make(tmp_path)
    mine = [terminal.directory / name for name in (".nix2oci-notes", ".nix2oci-0123456789abcdef")]
    for directory in mine:
        directory.mkdir()
        (directory / "keep.txt").write_text("precious")
    argv = terminal.argv("build", ".#app", "-q", "-o", output)
    env = terminal.env(TMPDIR=str(terminal.directory))
    subprocess.run(argv, cwd=terminal.directory, env=env, check=True, capture_output=True)
    assert [(path / "keep.txt").read_text() for path in mine] == ["precious", "precious"]
    others = [output] if output != "-" else []
    assert left(terminal.directory) == sorted([*(path.name for path in mine), *others])
