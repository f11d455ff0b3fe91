"""Whatever happens while an image is written, there is the old one or the new one."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import faults
from support.permissions import open_the_way
from support.writes import FORMS, blob_names, digest_at, listing, put, write

from nix2oci.errors import ConfigError, OutputError
from nix2oci.host import scratch
from nix2oci.oci.layout import staging
from nix2oci.oci.layout.writer import OutputFormat, writing
from nix2oci.oci.spec import Digest
from nix2oci.oci.validate.check_image import validate_layout


def states(path: Path, *texts: str) -> dict[Digest, str]:
    """The digests of images by their text, made elsewhere."""
    return {write(path / text, text=text).descriptor.digest: text for text in texts}


def check_after_fault(path: Path, known: dict[Digest, str]) -> None:
    """The image is the old one or the new one, and every blob has the name of its content."""
    if path.is_dir():
        for blob in path.glob("blobs/sha256/*"):
            assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
        if not (path / "index.json").exists():
            assert "old" not in known.values()
            return
    elif not path.exists():
        assert "old" not in known.values()
        return
    assert digest_at(path) in known


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("old", [True, False], ids=["over an old image", "where nothing is"])
def test_a_build_killed_anywhere_leaves_the_old_image_or_the_new(
    tmp_path: Path, form: OutputFormat, *, old: bool
) -> None:
    known = states(tmp_path / "known", "new", *(["old"] if old else []))
    home = tmp_path / "home"
    home.mkdir()
    path = home / "image"
    code, kills = -signal.SIGKILL, 0
    while code == -signal.SIGKILL:
        if old:
            write(path, form, text="old")
        code = faults.run_with_fault(lambda: write(path, form, text="new"), faults.kill, kills)
        check_after_fault(path, known)
        write(path, form, text="new")
        assert known[digest_at(path)] == "new"
        assert os.listdir(home) == ["image"]
        if form == "oci":
            assert listing(path) == listing(tmp_path / "known/new")
        remove(path)
        kills += 1
    assert code == faults.DONE
    assert kills > 20


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("old", [True, False], ids=["over an old image", "where nothing is"])
@pytest.mark.parametrize(
    ("fault", "expected"), [(faults.disk_full, 8), (faults.interrupt, 130)], ids=["full", "Ctrl-C"]
)
def test_a_failure_anywhere_leaves_nothing_half_written(
    tmp_path: Path, form: OutputFormat, fault: Callable[[str], None], expected: int, *, old: bool
) -> None:
    known = states(tmp_path / "known", "new", *(["old"] if old else []))
    home = tmp_path / "home"
    home.mkdir()
    path = home / "image"
    code, failures = expected, 0
    while code != faults.DONE:
        if old:
            write(path, form, text="old")
        before = listing(home)
        code = faults.run_with_fault(lambda: write(path, form, text="new"), fault, failures)
        assert code in {expected, faults.DONE, faults.DONE_WITH_FAULT}
        check_after_fault(path, known)
        if code == expected and (not path.exists() or "new" not in known[digest_at(path)]):
            assert listing(home) == before
        remove(path)
        failures += 1
    assert failures > 20


def test_what_is_being_written_is_nobody_elses_business(tmp_path: Path) -> None:
    with writing(str(tmp_path / "image")) as staging:
        modes = [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob(".nix2oci-*")]
        put(staging)
    assert modes == [0o700]


def test_a_staging_directory_in_use_is_left_alone(tmp_path: Path) -> None:
    with writing(str(tmp_path / "one"), "archive") as first:
        write(tmp_path / "two", "archive", text="two")
        image = put(first, text="one")
    assert digest_at(tmp_path / "one") == image.descriptor.digest
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]


HEX = ".nix2oci-0123456789abcdef"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(".nix2oci-notes/keep.txt", id="a directory of another name"),
        pytest.param(f"{HEX}/keep.txt", id="a directory of such a name, without a marker"),
        pytest.param(f"{HEX}/{scratch.MARKER}", id="a file like the marker that says nothing"),
        pytest.param(f"{HEX}/{scratch.MARKER}/keep.txt", id="a directory in place of the marker"),
        pytest.param(HEX, id="a file"),
    ],
)
def test_what_no_run_of_nix2oci_made_stays(tmp_path: Path, name: str) -> None:
    mine = tmp_path / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("precious")
    write(tmp_path / "image", "archive")
    assert mine.read_text() == "precious"


def test_a_link_with_the_name_of_a_staging_directory_stays(tmp_path: Path) -> None:
    (tmp_path / HEX).symlink_to(tmp_path / "known")
    write(tmp_path / "known")
    write(tmp_path / "image", "archive")
    assert sorted(os.listdir(tmp_path)) == [HEX, "image", "known"]
    assert validate_layout(str(tmp_path / "known"), 1) == ()


def test_a_directory_of_notes_is_no_place_for_a_layout(tmp_path: Path) -> None:
    (tmp_path / ".nix2oci-notes").mkdir()
    with pytest.raises(ConfigError, match=r"holds other things, such as '\.nix2oci-notes'"):
        write(tmp_path)


def leave(home: Path) -> None:
    """What a run leaves that is killed while it writes beside `home`'s files."""

    def be_killed() -> None:
        with staging.staging_directory(str(home)) as directory:
            Path(directory, "half").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_children(be_killed) == [-signal.SIGKILL]
    assert [path.name for path in home.glob(".nix2oci-*/half")] == ["half"]


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    leave(tmp_path)
    write(tmp_path / "image", "archive")
    assert os.listdir(tmp_path) == ["image"]


def test_so_is_what_it_left_among_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    leave(tmp_path)
    with scratch.temporary_directory() as directory:
        assert os.listdir(tmp_path) == [os.path.basename(directory)]
    assert os.listdir(tmp_path) == []


def in_children(*works: Callable[[], object]) -> list[int]:
    """Run all at once, each in a process of its own; their exit codes."""
    children = []
    for work in works:
        child = os.fork()
        if child == 0:
            try:
                work()
            except BaseException as err:  # noqa: BLE001  # the parent judges it
                os._exit(int(getattr(err, "exit_code", faults.BROKEN)))
            os._exit(0)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


@pytest.mark.parametrize("form", FORMS)
def test_many_processes_may_write_one_place(tmp_path: Path, form: OutputFormat) -> None:
    path = tmp_path / "image"

    def work(number: int) -> None:
        for turn in range(5):
            write(path, form, f"app:{number}", f"{number} {turn}")

    assert in_children(*(lambda n=n: work(n) for n in range(4))) == [0, 0, 0, 0]
    assert validate_layout(str(path), 1) == ()
    assert os.listdir(tmp_path) == ["image"]
    if form == "oci":
        for number in range(4):
            expected = write(tmp_path / "expected", text=f"{number} 4").descriptor.digest
            assert digest_at(path, str(number)) == expected
        assert not [name for name in os.listdir(path) if name.startswith(".")]
        # Nothing but the four last images: what each turn replaced is gone.
        assert len(blob_names(path)) == 2 + 4 * 3


def as_nobody(work: Callable[[], object]) -> Callable[[], object]:
    def change_and_work() -> None:
        os.setgid(65534)
        os.setuid(65534)
        work()

    return change_and_work


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("form", FORMS)
def test_a_directory_that_is_read_only_is_an_error(tmp_path: Path, form: OutputFormat) -> None:
    home = tmp_path / "home"
    open_the_way(home)
    image = write(home / "image", form, text="old")
    before = listing(home)
    message = f"cannot write image {'layout' if form == 'oci' else 'archive'} at {home}/image: "

    def work() -> None:
        with pytest.raises(OutputError) as raised:
            write(home / "image", form, text="new")
        assert str(raised.value) == message + "Permission denied"

    assert in_children(as_nobody(work)) == [0]
    assert listing(home) == before
    assert digest_at(home / "image") == image.descriptor.digest


@contextmanager
def small_disk(path: Path, size: int) -> Iterator[None]:
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


def noise(size: int) -> str:
    """Text that gzip can hardly make smaller, the same every time."""
    blocks = (hashlib.sha256(str(number).encode()).hexdigest() for number in range(size // 32))
    return "".join(blocks)


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_keeps_the_old_image(tmp_path: Path, form: OutputFormat) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, 256 << 10):
        image = write(disk / "image", form, text="old")
        before = listing(disk)
        with pytest.raises(OutputError) as raised:
            write(disk / "image", form, text=noise(400 << 10))
        what = "layout" if form == "oci" else "archive"
        message = f"cannot write image {what} at {disk}/image: No space left on device"
        assert (str(raised.value), raised.value.exit_code) == (message, 8)
        assert listing(disk) == before
        assert digest_at(disk / "image") == image.descriptor.digest


def test_where_there_is_no_room_for_temporary_files_the_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for temporary, hint in (
        (tmp_path, f"{tmp_path} is full: name a directory with more room by TMPDIR"),
        (tmp_path / "other", "free some space there, or name another place with -o"),
    ):
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        with (
            pytest.raises(OutputError) as raised,
            staging.reported("it", str(tmp_path / "staging")),
        ):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        assert raised.value.hint == hint


def test_a_blob_that_is_not_committed_is_dropped(tmp_path: Path) -> None:
    with writing(str(tmp_path / "image")) as staging:
        with staging.new_blob() as blob:
            blob.write(b"forgotten")
        image = put(staging)
    assert Digest.of(b"forgotten").hex not in blob_names(tmp_path / "image")
    assert digest_at(tmp_path / "image") == image.descriptor.digest


@pytest.mark.parametrize("form", FORMS)
def test_missing_directories_are_made_and_go_again_on_failure(
    tmp_path: Path, form: OutputFormat
) -> None:
    def fail() -> None:
        with writing(str(tmp_path / "a/b/image"), form) as staging:
            with staging.new_blob() as blob:
                blob.write(b"x" * 100)
                blob.commit(Digest.of(b"x" * 100), 100)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert os.listdir(tmp_path) == []
    write(tmp_path / "a/b/image", form)
    assert validate_layout(str(tmp_path / "a/b/image"), 1) == ()


def test_a_path_below_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as raised:
        write(tmp_path / "file/image", "archive")
    assert str(raised.value) == f"cannot write image archive at {tmp_path}/file/image: File exists"


def test_an_old_umask_decides_who_may_read(tmp_path: Path) -> None:
    os.umask(0o077)
    write(tmp_path / "image")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "image").rglob("*")}
    assert modes == {0o700, 0o600}


def test_where_directories_have_no_locks_writing_still_works(tmp_path: Path) -> None:
    """NFS refuses to lock a directory that is open for reading, as Linux does for O_PATH."""
    handle = os.open(tmp_path, os.O_PATH)
    try:
        assert scratch.lock(handle) == "unsupported"
    finally:
        os.close(handle)
