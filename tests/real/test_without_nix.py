"""Images from a real binary cache where there is no Nix: the same bytes, and nothing is started."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from real.binary_cache import keys
from real.distro import nix, out_path, sample
from real.images import NIX2OCI
from real.ordinary import UID, OrdinaryUser, ordinary_user
from support import mac
from support.fakecache import FakeCache, served
from support.paths import TESTS
from support.tools import require

pytestmark = pytest.mark.nix

COMPRESSIONS = ("xz", "zstd", "bzip2", "none")
SMALL = 1 << 20
"""What is larger takes long to compress by some of them."""


@dataclass(frozen=True)
class Cache:
    """A binary cache of a wrapped program, as `nix copy` makes it, signed, and where Nix has it."""

    directory: Path
    output: Path
    key: str

    @property
    def url(self) -> str:
        return f"file://{self.directory}"

    @property
    def trusted(self) -> tuple[str, ...]:
        return ("--trusted-public-keys", self.key)


def asked(*question: str) -> list[str]:
    return subprocess.check_output(["nix-store", "--query", *question], text=True).split()


@pytest.fixture(scope="module")
def cache(distro: Path) -> Iterator[Cache]:
    """Its paths are compressed in all ways that there are, in turn."""
    require("nix", "cc")
    installable, *options = sample(distro, "wrapped", "twice")
    output = out_path(installable, *options)
    paths = asked("--requisites", str(output))  # what is referred to comes first
    sizes = map(int, asked("--size", *paths))
    with tempfile.TemporaryDirectory(prefix="n2o-") as directory:
        made = Path(directory)
        made.chmod(0o755)
        secret, public = keys(made)
        url = f"file://{made}/files"
        for number, (path, size) in enumerate(zip(paths, sizes, strict=True)):
            method = COMPRESSIONS[number % len(COMPRESSIONS)] if size < SMALL else "zstd"
            nix("copy", "--to", f"{url}?compression={method}", path)
        nix("store", "sign", "--store", url, "--key-file", str(secret), *paths)
        yield Cache(made / "files", output, public)


def build(*argv: str | Path, **env: str) -> str:
    """The digest of an image that is built without `nix` on PATH, a home and a cache."""
    done = subprocess.run(
        [NIX2OCI, "build", "--json", *argv],
        env={"PATH": "", "HOME": "", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["digest"])


@pytest.fixture(scope="module")
def digest(cache: Cache, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The one that the command gives where Nix is."""
    image = tmp_path_factory.mktemp("image") / "x"
    argv = [NIX2OCI, "build", str(cache.output), "--json", "-o", str(image)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=300)
    return str(json.loads(done.stdout)["digest"])


def test_with_nix_it_is_the_same_image(cache: Cache, digest: str, tmp_path: Path) -> None:
    command = (NIX2OCI, "build", str(cache.output), "--json", "--from", cache.url, *cache.trusted)
    empty = ("--store", str(tmp_path / "empty"))
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [*command, *cache.trusted, *empty, "-o", tmp_path / "x"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert json.loads(done.stdout)["digest"] == digest


def test_without_nix_it_is_the_same_image(cache: Cache, digest: str, tmp_path: Path) -> None:
    where = (*cache.trusted, "-o", str(tmp_path / "x"))
    assert build(cache.output, "--from", cache.url, *where) == digest
    with served(FakeCache(cache.directory)) as web:
        where = (*cache.trusted, "-o", str(tmp_path / "y"))
        assert build(cache.output, "--from", web.url, *where) == digest


@pytest.mark.parametrize("nix", [True, False], ids=["with Nix", "without Nix"])
def test_like_a_mac_it_is_the_same_image(
    cache: Cache,
    digest: str,
    tmp_path: Path,
    nix: bool,  # noqa: FBT001
) -> None:
    here = dict(os.environ) if nix else {"PATH": "", "HOME": ""}  # noqa: TID251
    env = {**here, **mac.environment(platform.machine(), tmp_path)}
    origin = ("--from", cache.url, *cache.trusted)
    store = ("--store", str(tmp_path / "empty")) if nix else ()
    (tmp_path / "empty").mkdir()
    assert build(cache.output, *origin, *store, "-o", tmp_path / "x", **env) == digest
    if nix:
        assert build(cache.output, "-o", tmp_path / "y", **env) == digest


def test_a_closure_file_of_nix_says_what_to_fetch(
    cache: Cache, digest: str, tmp_path: Path
) -> None:
    recorded = nix("path-info", "--json", "--recursive", str(cache.output))
    (tmp_path / "closure").write_text(recorded)
    given = ("--closure", tmp_path / "closure", "--from", cache.url, "-o", tmp_path / "x")
    assert build(cache.output, *given) == digest


@pytest.fixture(scope="module")
def user(cache: Cache) -> Iterator[OrdinaryUser]:
    """Whose /nix/store is empty."""
    with tempfile.TemporaryDirectory(prefix="n2o-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        with ordinary_user(Path(directory), TESTS.parent, cache.directory) as made:
            yield made


def test_another_user_without_path_and_home_starts_nothing(
    cache: Cache, digest: str, user: OrdinaryUser
) -> None:
    require("strace")
    image, trace = user.home / "x", user.home / "trace"
    traced = ("strace", "-f", "-e", "trace=execve", "-o", str(trace))
    bare = ("env", "-i", "PATH=", "HOME=/proc/nope")
    command = (NIX2OCI, "build", str(cache.output), "--json", "--from", cache.url, *cache.trusted)
    done = user.run(*traced, *bare, *command, "-o", image)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == digest
    started = {Path(name).name for name in re.findall(r'execve\("([^"]+)"', trace.read_text())}
    assert started == {"env", "nix2oci", "sh"}  # the last sees to it that no worker outlives us
    assert image.stat().st_uid == UID
