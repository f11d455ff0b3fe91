"""`nix-db`: Nix itself proves an unpacked image, and works with what is in it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from real.distro import nixes
from real.images import Images, Layout, nix2oci
from support.tools import require, require_root

pytestmark = pytest.mark.nix

PROGRAM = "python3-flask"  # a wrapper becomes a launcher in it
PLAIN = ("--compression", "none")  # quick
READ_ONLY = ("--extra-experimental-features", "read-only-local-store")


@dataclass(frozen=True)
class Unpacked:
    """The files of an image that has a database."""

    layout: Layout
    root: Path
    built: tuple[str, ...]
    """What `build` was told, but for the database."""

    @property
    def path(self) -> str:
        """The store path that the entrypoint is in."""
        return "/".join(self.layout.config["config"]["Entrypoint"][0].split("/")[:4])

    @property
    def store_paths(self) -> set[str]:
        found = (self.root / "nix/store").glob("[!.]*")  # Nix 2.8 makes a directory .links
        return {f"/nix/store/{path.name}" for path in found}


LEFT_OUT = ("--slim", "2", "--shell", "evident")


@pytest.fixture(scope="module", params=[(), LEFT_OUT], ids=["whole", "slim, and scripts hidden"])
def unpacked(request: pytest.FixtureRequest, images: Images, scratch: Path) -> Unpacked:
    require("nix", "tar")
    program = "redis-server" if request.param else PROGRAM
    (installable,) = images.installables(program)
    layout, root = scratch / f"database-{program}", scratch / f"unpacked-{program}"
    nix2oci("build", installable, "--nix-db", "-o", layout, *PLAIN, *request.param)
    root.mkdir()
    nix2oci("export", layout, "-o", scratch / "database.tar")
    subprocess.run(["tar", "-xf", scratch / "database.tar", "-C", root], check=True)
    return Unpacked(Layout(layout), root, (installable, *PLAIN, *request.param))


def nix(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=300
    )


def stores(unpacked: Unpacked) -> Mapping[Path, tuple[str, ...]]:
    """Each Nix with what lets it look at the image; the old ones know no store to only read."""
    found: dict[Path, tuple[str, ...]] = {}
    for program in nixes():
        version = nix(program, "--version").stdout
        if " 2.8" in version:
            found[program] = ("--store", str(unpacked.root))
        else:
            found[program] = ("--store", f"local?root={unpacked.root}&read-only=true", *READ_ONLY)
    return found


def test_nix_knows_all_of_the_closure_and_that_it_is_whole(unpacked: Unpacked) -> None:
    for program, store in stores(unpacked).items():
        listed = nix(program, "path-info", "-r", *store, unpacked.path)
        assert set(listed.stdout.split()) == unpacked.store_paths, listed.stderr
        verified = nix(program, "store", "verify", "--no-trust", "-r", *store, unpacked.path)
        assert verified.returncode == 0, verified.stderr


def test_the_launcher_in_it_is_what_nix_expects(unpacked: Unpacked) -> None:
    if not json.loads(nix2oci("inspect", "--json", unpacked.layout.path))["launchers"]:
        pytest.skip("it has no launcher")
    launcher = unpacked.root / unpacked.layout.config["config"]["Entrypoint"][0][1:]
    assert launcher.read_bytes().startswith(b"\x7fELF")
    for program, store in stores(unpacked).items():
        verified = nix(program, "store", "verify", "--no-trust", *store, unpacked.path)
        assert verified.returncode == 0, verified.stderr


def test_one_byte_changed_is_found(unpacked: Unpacked) -> None:
    (file,) = unpacked.root.glob("nix/store/*-glibc-*/lib/*/libm.so.6")
    before = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(bytes([before[0] ^ 1]) + before[1:])
    file.chmod(0o444)
    try:
        for program, store in stores(unpacked).items():
            done = nix(program, "store", "verify", "--no-trust", "-r", *store, unpacked.path)
            assert (done.returncode, "was modified" in done.stderr) == (1, True), done.stderr
    finally:
        file.chmod(0o644)
        file.write_bytes(before)


def test_a_store_path_can_be_added_and_removed(unpacked: Unpacked, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("hello\n")
    for number, program in enumerate(nixes()):
        at = ("--store", str(unpacked.root), "--name", f"note-{number}")
        done = nix(program, "store", "add-path", *at, str(tmp_path / "note"))
        assert done.returncode == 0, done.stderr
        gone = nix(program, "store", "delete", *at[:2], done.stdout.strip())
        assert gone.returncode == 0, gone.stderr


def test_nix_works_where_the_image_is_the_machine(unpacked: Unpacked) -> None:
    """Its /nix is the only one there is, as in a container of the image."""
    require_root()
    require("unshare")
    enter = 'mount --rbind "$0/nix" /nix && exec "$@"'
    for program in nixes():
        argv = ["unshare", "--mount", "sh", "-c", enter, str(unpacked.root), str(program)]

        def inside(*arguments: str, argv: Sequence[str] = tuple(argv)) -> str:
            done = subprocess.run(
                [*argv, *arguments], capture_output=True, text=True, check=False, timeout=300
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        assert set(inside("path-info", "--all").split()) == unpacked.store_paths
        assert inside("build", "--offline", "--no-link", unpacked.path) == ""
        size = int(inside("path-info", "-S", unpacked.path).split()[-1])
        assert size > 10_000_000


def test_it_decides_the_last_layer_alone(unpacked: Unpacked, tmp_path: Path) -> None:
    nix2oci("build", *unpacked.built, "-o", tmp_path / "without")
    without = Layout(tmp_path / "without").layers
    assert unpacked.layout.layers[:-1] == without[:-1]
    assert unpacked.layout.layers[-1] != without[-1]


def test_it_is_the_same_bytes_again(unpacked: Unpacked, tmp_path: Path) -> None:
    again = tmp_path / "again"
    umask = ("sh", "-c", 'umask 077; exec "$@"', "sh")
    env = {**os.environ, "TZ": "Asia/Tokyo"}  # noqa: TID251
    nix2oci("build", *unpacked.built, "--nix-db", "-o", again, prefix=umask, env=env)
    assert Layout(again).contents() == unpacked.layout.contents()
