"""`verify --rebuild` of real flakes: as if on another machine, and of images that were changed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from real.distro import FLAKES, nixes, sample
from real.images import NIX2OCI, nix2oci
from support.tampered import change_byte
from support.tools import require

pytestmark = [pytest.mark.nix, pytest.mark.slow]

SAMPLES = ("hello-c", "wrapped", "metadata")
PLAIN = ("--compression", "none")
ELSEWHERE = ("taskset", "--cpu-list", "0", "sh", "-c", 'umask 077; exec "$@"', "sh")
CANARY = "c4n4ry-s3cr3t"


def verify(
    *arguments: str | Path, prefix: tuple[str, ...] = (), env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, NIX2OCI, "verify", "--rebuild", "-q", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(env or {})},  # noqa: TID251
        timeout=300,
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_reproduced_under_another_umask_and_on_one_core(
    name: str, distro: Path, tmp_path: Path
) -> None:
    require("nix", "cc", "make", "taskset")
    installable, *options = sample(distro, name)
    document = ("--provenance", tmp_path / "p.json")
    nix2oci("build", installable, *options, "-o", tmp_path / "image", *document)
    flake = installable.partition("#")[0]
    arguments: tuple[str | Path, ...] = (tmp_path / "image", flake, *options, *document)
    done = verify(*arguments, prefix=ELSEWHERE, env={"TZ": "Asia/Tokyo", "LC_ALL": "C"})
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert f"{tmp_path}/image is reproduced for linux/" in done.stdout


@dataclass(frozen=True)
class Repository:
    """A git repository with a flake, and an image of its first commit."""

    path: Path
    image: Path
    document: Path
    options: tuple[str, ...]

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=n", "-c", "user.email=e")
        argv = ["git", "-C", str(self.path), *who, *arguments]
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def verify(self, *arguments: str | Path, **env: str) -> dict[str, Any]:
        done = verify("--json", *arguments, *self.options, "--provenance", self.document, env=env)
        assert done.returncode in (0, 1), done.stderr
        (found,) = json.loads(done.stdout)["platforms"]
        return dict(found)


@pytest.fixture
def repository(distro: Path, tmp_path: Path) -> Repository:
    require("nix", "cc", "git")
    _, *options = sample(distro, "hello-c")
    path = tmp_path / "app"
    shutil.copytree(FLAKES / "hello-c", path)
    found = Repository(path, tmp_path / "image", tmp_path / "p.json", tuple(options))
    found.git("init", "-q")
    found.git("add", ".")
    found.git("commit", "-qm", "one")
    where = ("-o", found.image, "--provenance", found.document)
    nix2oci("build", f"git+file://{path}", *options, *PLAIN, *where)
    return found


def test_a_commit_is_rebuilt_and_another_one_is_told(repository: Repository) -> None:
    first, flake = repository.git("rev-parse", "HEAD"), f"git+file://{repository.path}"
    source = repository.path / "hello.c"
    source.write_text(source.read_text().replace("hello", "good day"))
    repository.git("commit", "-qam", "two")
    second = repository.git("rev-parse", "HEAD")
    found = repository.verify(repository.image, flake)
    told = f"another commit: the image is of {first}, and {second} was rebuilt"
    assert found["reasons"] == [told]
    assert found["store_paths"]
    again = repository.verify(repository.image, f"{flake}?rev={first}")
    assert (again["reproduced"], again["reasons"]) == (True, [])


def test_a_changed_byte_is_named_by_every_nix(repository: Repository, tmp_path: Path) -> None:
    changed, flake = tmp_path / "changed", f"git+file://{repository.path}"
    where = ("-o", changed, "--provenance", repository.document)
    nix2oci("build", flake, *repository.options, *where)
    change_byte(changed, "/bin/hello")
    for nix in nixes():
        path = f"{nix.parent}{os.pathsep}{os.environ['PATH']}"  # noqa: TID251
        found = repository.verify(changed, flake, PATH=path)
        assert found["path"].endswith("-hello-1.0/bin/hello")
        assert found["difference"] == "has other bytes"
        assert "changed after it was made" in found["reasons"][0]


def test_a_dirty_tree_has_no_commit_and_no_secret_gets_in(
    repository: Repository, tmp_path: Path
) -> None:
    commit = repository.git("rev-parse", "HEAD")
    with (repository.path / "hello.c").open("a") as file:
        file.write("/* changed */\n")
    for nix in nixes():
        env = {**os.environ, "PATH": f"{nix.parent}:{os.environ['PATH']}", "TOKEN": CANARY}  # noqa: TID251
        secrets = ("--option", "access-tokens", f"github.com={CANARY}", "--impure")
        where = ("-o", tmp_path / "dirty", "--provenance", tmp_path / "dirty.json")
        flake = f"git+file://{repository.path}"
        nix2oci("build", flake, *repository.options, *PLAIN, *secrets, *where, env=env)
        text = (tmp_path / "dirty.json").read_text()
        assert CANARY not in text
        assert commit not in text
        assert str(tmp_path) not in text
        definition = json.loads(text)["buildDefinition"]
        assert definition["externalParameters"]["impure"] is True
        assert definition["resolvedDependencies"][0]["annotations"] == {"dirty": True}
