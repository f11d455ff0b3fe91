"""The nixpkgs that a flake uses, found by its lock and evaluated by its reference."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from real.nix.tiny import PRELUDE, make, names

from nix2oci.nix.client import NixClient
from nix2oci.nix.flake_inputs import as_locked, input_reference

pytestmark = pytest.mark.nix

PACKAGES = f"""{{
  outputs = {{ self }}: let {PRELUDE} in {{
    legacyPackages.SYSTEM.busybox = make "busybox-1.0" "echo x > $out" {{ }};
  }};
}}"""
MAIN = """{
  inputs.INPUT.url = "URL";
  outputs = { self, INPUT }: { packages.SYSTEM.default = INPUT.legacyPackages.SYSTEM.busybox; };
}"""


def in_git(directory: Path) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    for argv in (("init", "--quiet"), ("add", "."), (*who, "commit", "--quiet", "-m", "x")):
        subprocess.run(("git", "-C", directory, *argv), check=True)
    return f"git+file://{directory}"


def in_tarball(directory: Path) -> str:
    path = directory.with_suffix(".tar.gz")
    with tarfile.open(path, "w:gz") as tar:
        tar.add(directory, "top")
    return f"file://{path}"


def as_a_path(directory: Path) -> str:
    return f"path:{directory}"


def in_a_directory_of_git(directory: Path) -> str:
    inner = directory / "inner"
    inner.mkdir()
    (directory / "flake.nix").rename(inner / "flake.nix")
    return f"{in_git(directory)}?dir=inner"


@pytest.mark.parametrize("place", [in_git, in_tarball, as_a_path, in_a_directory_of_git])
def test_busybox_of_the_nixpkgs_of_a_flake(
    place: Callable[[Path], str], nix: NixClient, write: Callable[..., Path]
) -> None:
    url = place(write(PACKAGES, "packages/flake.nix").parent)
    text = MAIN.replace("INPUT", "nixpkgs").replace("URL", url)
    main = nix.installable(f"path:{write(text, 'main/flake.nix').parent}")
    reference = input_reference(nix.metadata(main), "nixpkgs")
    (built,), closure = make(nix, f"{reference}#legacyPackages.{nix.system()}.busybox")
    assert names(built.roots) == ["busybox-1.0"]
    assert closure.roots == make(nix, main.text)[1].roots


def test_an_overriding_input_is_the_one_that_counts(
    nix_of: Callable[..., NixClient], write: Callable[..., Path], shown: list[str]
) -> None:
    there = write(PACKAGES, "packages/flake.nix").parent
    text = MAIN.replace("INPUT", "nixpkgs-stable").replace("URL", "path:/nope")
    main = write(text, "main/flake.nix").parent
    override = ("--override-input", "nixpkgs-stable", f"path:{there}")
    nix = nix_of(*override, "--no-write-lock-file")
    named = nix.installable(f"nixpkgs-stable#legacyPackages.{nix.system()}.busybox")
    locked = as_locked(nix, named, nix.installable(f"path:{main}"))
    assert locked.flake_ref.startswith(f"path:{there}?narHash=sha256-")
    with nix.build([nix.evaluate(locked)]) as (built,):
        assert names(built.roots) == ["busybox-1.0"]
    assert not any("does not match" in line for line in shown)
