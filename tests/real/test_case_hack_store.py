"""A store that a real Nix filled with `use-case-hack`, as it does on a Mac, and the same image."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from real.distro import nixes
from real.images import NIX2OCI
from support import mac
from support.tools import require

pytestmark = pytest.mark.nix

FEATURES = ("--extra-experimental-features", "nix-command")
SETTING = "use-case-hack = true"


def store_path(directory: Path) -> str:
    """Programs, directories and files whose names differ in case alone."""
    for name in ("bin/app", "bin/App", "share/Foo/a", "share/foo/a", "share/foo/A", "etc/X/c"):
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\x7fELF " + name.encode())
        file.chmod(0o755)
    (directory / "bin/APP").symlink_to("../share/foo/A")
    return subprocess.check_output(["nix-store", "--add", directory], text=True).strip()


def image(directory: Path, path: str, *options: str, env: dict[str, str]) -> bytes:
    """The index of the image, which has the digest of all that is in it."""
    argv: Sequence[str] = (NIX2OCI, "build", "-q", "--no-cache", path, "-o", str(directory))
    done = subprocess.run(
        [*argv, "--entrypoint", f"{path}/bin/app", *options],
        env={**os.environ, **env},  # noqa: TID251
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return (directory / "index.json").read_bytes()


@pytest.mark.parametrize("said", ["by an option", "in NIX_CONFIG", "by the system", "by nobody"])
def test_the_image_is_that_of_the_plain_store(said: str, tmp_path: Path) -> None:
    require("nix", "nix-store")
    path = store_path(tmp_path / "named")
    system = subprocess.check_output(
        ["nix", *FEATURES, "eval", "--impure", "--raw", "--expr", "builtins.currentSystem"],
        text=True,
    )
    plain = image(tmp_path / "plain", path, "--system", system, env={})
    config = os.environ.get("NIX_CONFIG", "")  # noqa: TID251
    options, env = {
        "by an option": (["--option", "use-case-hack", "true"], {}),
        "in NIX_CONFIG": ([], {"NIX_CONFIG": f"{config}\n{SETTING}"}),
        "by nobody": ([], {}),
        "by the system": ([], mac.environment("x86_64", tmp_path)),
    }[said]
    for number, nix in enumerate(nixes()):
        store = tmp_path / f"store{number}"
        hacked = ("--option", "use-case-hack", "true", "--to", str(store), path)
        subprocess.run([nix, *FEATURES, "copy", "--no-check-sigs", *hacked], check=True)
        assert Path(f"{store}{path}/bin/app~nix~case~hack~2").exists()
        found = image(
            *(tmp_path / f"image{number}", path, "--store", str(store), "--system", system),
            *options,
            env={**env, "PATH": f"{nix.parent}:{os.environ['PATH']}"},  # noqa: TID251
        )
        assert found == plain
