"""What the kernel sees of the launcher, where it can run, and thousands of random wrappers."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fuzz.running import Wrapped, compile_probe
from fuzz.wrappers import Setup, chunks, report, run
from support.tools import require

from nix2oci.wrappers.operations import Argv0, Chdir, Default, Launch, Op, Prefix, Set

pytestmark = pytest.mark.real
OPS: tuple[Op, ...] = (Set(b"A", b"1"), Default(b"B", b"2"), Prefix(b"PATH", b":", b"/a"))


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    compile_probe(tmp_path / "probe")
    return tmp_path / "probe"


def calls(wrapped: Wrapped, trace: Path) -> list[str]:
    """The names of the launcher's system calls, from its own start to its execve."""
    require("strace")
    command = ["strace", "-o", str(trace), str(wrapped.launcher), "word"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    names = re.findall(r"^(\w+)\(", trace.read_text(), re.MULTILINE)
    assert names[0] == "execve", "strace starts the launcher"
    return names[1 : names.index("execve", 1) + 1]


def test_one_execve_and_no_file_opened(probe: Path, tmp_path: Path) -> None:
    wrapped = Wrapped.write(tmp_path, Launch(os.fsencode(probe), OPS, Argv0.EXECFN))
    assert calls(wrapped, tmp_path / "trace") == ["mmap", "execve"]


def test_a_chdir_asks_where_it_is(
    probe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped = Wrapped.write(tmp_path, Launch(os.fsencode(probe), (*OPS, Chdir(b"/"))))
    monkeypatch.delenv("PWD", raising=False)
    assert calls(wrapped, tmp_path / "trace") == ["mmap", "getcwd", "chdir", "execve"]


def test_in_an_image_without_anything(probe: Path, tmp_path: Path) -> None:
    """No /proc, no /dev, no libc, and nothing that could be written to."""
    require("chroot", "unshare")
    wrapped = Wrapped.write(tmp_path, Launch(b"/probe", OPS, Argv0.EXECFN))
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(probe, root / "probe")
    shutil.copy(wrapped.launcher, root / "app")
    root.chmod(0o555)
    enter = ["env", "--ignore-environment", str(shutil.which("chroot")), str(root), "/app", "x"]
    if os.geteuid() != 0:
        enter = ["unshare", "--user", "--map-root-user", *enter]
    done = subprocess.run(enter, capture_output=True, check=True)
    assert done.stdout == b"/\0/app\0x\0\xff\0A=1\0B=2\0PATH=/a\0"


@pytest.mark.parametrize(
    ("machine", "cases"), [("x86_64", 500), ("aarch64", 200)], ids=["x86_64", "aarch64"]
)
def test_random_wrappers(machine: str, cases: int, tmp_path: Path) -> None:
    """`./dev fuzz-wrappers` runs many more; the seed is fixed, so that a failure comes back."""
    require("bash")
    if machine != platform.machine():
        require(f"qemu-{machine}-static")
    setup = Setup.make(tmp_path, "test", machine)
    for part in chunks(cases):
        tally = run(setup, part)
        assert not tally.findings, report(setup, tally)
        assert tally.statuses[0] > len(part) * 0.8, "most of them run the program"
