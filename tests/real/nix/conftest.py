"""What the tests of Nix itself share; run them with each version of Nix first on PATH."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from real.nix.tiny import FLAKE
from support.tools import require

from nix2oci.nix.client import NixClient


@pytest.fixture(scope="session")
def seed() -> str:
    return f"{os.getpid()}-{time.monotonic_ns()}"


@pytest.fixture
def shown() -> list[str]:
    return []


@pytest.fixture
def nix_of(shown: list[str]) -> Callable[..., NixClient]:
    """Make a Nix with options and more environment; what it says goes to `shown`."""
    require("nix")

    def make(*options: str, **env: str) -> NixClient:
        return NixClient({**os.environ, **env}, options, show=shown.append)  # noqa: TID251

    return make


@pytest.fixture
def nix(nix_of: Callable[..., NixClient]) -> NixClient:
    return nix_of()


@pytest.fixture
def write(tmp_path: Path, nix: NixClient, seed: str) -> Callable[..., Path]:
    """Write a file with its system and seed filled in."""

    def write(text: str = FLAKE, name: str = "flake/flake.nix") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("SYSTEM", nix.system()).replace("SEED", seed))
        return path

    return write


@pytest.fixture
def flake(write: Callable[..., Path]) -> Path:
    directory = write().parent
    (directory / "run.sh").write_text("#!/bin/sh\n")
    return directory


@pytest.fixture
def repository(flake: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """`git` in the directory of the flake, which is a repository."""
    require("git")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "x")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "x@example.org")
        monkeypatch.setenv(f"GIT_{who}_DATE", "1700000000 +0000")

    def git(*argv: str) -> str:
        return subprocess.check_output(["git", "-C", flake, *argv], text=True).strip()

    git("init", "-q")
    return git
