"""On a file system with clones, cache and image share blocks, and neither can harm the other."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from real.engines import output
from support.tools import require, require_root

from nix2oci.oci.layout.reflink import share

pytestmark = [pytest.mark.nix, pytest.mark.slow]


@pytest.fixture
def btrfs(tmp_path: Path) -> Iterator[Path]:
    """A file system that has clones, in a file."""
    require_root()
    require("mkfs.btrfs", "filefrag", "mount")
    disk, directory = tmp_path / "disk", tmp_path / "btrfs"
    with disk.open("wb") as file:
        file.truncate(200 << 20)
    output("mkfs.btrfs", "--quiet", disk)
    directory.mkdir()
    mounted = subprocess.run(["mount", "-o", "loop", disk, directory], check=False)
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)


def test_a_clone_shares_blocks_until_one_of_the_two_changes(btrfs: Path) -> None:
    old, new = btrfs / "old", btrfs / "new"
    old.write_bytes(b"x" * (1 << 20))
    share(str(old), str(new))
    assert "shared" in output("filefrag", "-v", "-s", new)
    assert not new.samefile(old)
    assert (old.stat().st_mode & 0o777, new.stat().st_mode & 0o777) == (0o644, 0o444)
    new.chmod(0o644)
    with new.open("r+b") as file:
        file.write(b"changed")
    assert old.read_bytes() == b"x" * (1 << 20)
