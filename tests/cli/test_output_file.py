"""A file that a command writes: all of it or nothing, for those that the umask lets read it."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from nix2oci.cli.steps.write_file import write_file
from nix2oci.errors import OutputError
from nix2oci.oci.layout.staging import staging_directory


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
