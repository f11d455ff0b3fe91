"""What the tests of Nix itself share; run them with each version of Nix first on PATH."""

import http.server
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from real.distro import nix as run_nix
from real.distro import python_distro
from real.nix.remembering import FLAKE_OF_TEXT, Repository
from real.nix.tiny import FLAKE
from support.paths import ROOT
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


@pytest.fixture
def remembered(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Repository:
    """A repository with one commit; `git` in it may use submodules that are files."""
    require("git", "nix")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "x")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "x@example.org")
    for name, text in (("COUNT", "1"), ("KEY_0", "protocol.file.allow"), ("VALUE_0", "always")):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", text)
    (wrapper := tmp_path / "wrapper").mkdir()
    (wrapper / "nix").write_text(
        f'#!/bin/sh\necho "${{3:-$1}}" >> {wrapper}/log\nexec "{shutil.which("nix")}" "$@"\n'
    )
    (wrapper / "nix").chmod(0o755)
    directory = write(FLAKE_OF_TEXT).parent
    found = Repository(directory, wrapper)
    (directory / "text").write_text("first\n")
    found.git("init", "-q")
    found.commit()
    monkeypatch.chdir(directory)
    return found


@pytest.fixture
def host() -> Iterator[Callable[[Path], str]]:
    """A web server of a directory."""
    running: list[http.server.ThreadingHTTPServer] = []

    def serve(directory: Path) -> str:
        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

        handler = partial(Quiet, directory=str(directory))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        running.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"127.0.0.1:{server.server_port}"

    yield serve
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def nixpkgs() -> Path:
    require("git")
    return python_distro(ROOT / ".cache")


@pytest.fixture(scope="session")
def checkout(scratch: Path) -> Path:
    """The files of this repository that git knows, as they are here.

    A checkout with a build, a cache or a .venv in it does not become a store path so.
    """
    copy = scratch / "checkout"
    argv = ("git", "-C", ROOT, "ls-files", "-z")
    for name in subprocess.check_output(argv, text=True).split("\0")[:-1]:
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, target)
    return copy


@pytest.fixture(scope="session")
def options(nixpkgs: Path) -> tuple[str, ...]:
    """Those by which the stand-in is the nixpkgs of this repository's flake."""
    return ("--override-input", "nixpkgs", f"path:{nixpkgs}", "--no-write-lock-file")


@pytest.fixture(scope="session")
def built(checkout: Path, options: tuple[str, ...]) -> Path:
    """The package, with the tests in its build."""
    answer = run_nix("build", "--json", "--no-link", *options, f"path:{checkout}")
    return Path(json.loads(answer)[0]["outputs"]["out"])


@pytest.fixture(scope="session")
def locked(checkout: Path, nixpkgs: Path, scratch: Path) -> Path:
    """The repository with a lock file, as a release has: `flake init` cannot override inputs."""
    copy = shutil.copytree(checkout, scratch / "locked")
    run_nix("flake", "lock", "--override-input", "nixpkgs", f"path:{nixpkgs}", f"path:{copy}")
    return copy
