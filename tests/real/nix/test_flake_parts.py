"""The module of flake-parts, in the template, with a stand-in for flake-parts and nixpkgs' modules.

docs/nix.md says what was tried with the real ones.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from real.distro import nix
from real.images import nix2oci

pytestmark = [pytest.mark.nix, pytest.mark.slow]

# `mkFlake` with what the module uses of it: `perSystem`, systems, packages and apps.
FLAKE_PARTS = """
{
  inputs.nixpkgs.url = "path:NIXPKGS";
  outputs = { self, nixpkgs }:
    let
      inherit (nixpkgs.lib) evalModules genAttrs mkOption types;
      flake-parts-lib.mkPerSystemOption = module:
        mkOption { type = types.deferredModule; } // { static = [ module ]; };
      core.options = {
        systems = mkOption { type = types.listOf types.str; };
        perSystem = mkOption { type = types.deferredModule; };
      };
      outputs.options = genAttrs [ "packages" "apps" ]
        (_: mkOption { type = types.lazyAttrsOf types.raw; default = { }; });
    in
    {
      lib.mkFlake = { inputs }: module:
        let
          top = (evalModules {
            specialArgs = { inherit flake-parts-lib inputs; inherit (inputs) self; };
            modules = [ core module ];
          }).config;
          perSystem = system: (evalModules {
            specialArgs = { inherit system; pkgs = inputs.nixpkgs.legacyPackages.${system}; };
            modules = [ outputs top.perSystem ];
          }).config;
          known = builtins.filter (system: inputs.nixpkgs.legacyPackages ? ${system}) top.systems;
          of = name: genAttrs known (system: (perSystem system).${name});
        in
        { packages = of "packages"; apps = of "apps"; };
    };
}
"""


@pytest.fixture(scope="module")
def flake(scratch: Path, locked: Path, nixpkgs: Path) -> Path:
    """What the template makes, with its inputs locked to what is here."""
    directory, parts = scratch / "by-module", scratch / "flake-parts"
    for each in (directory, parts):
        each.mkdir()
    (parts / "flake.nix").write_text(FLAKE_PARTS.replace("NIXPKGS", str(nixpkgs)))
    argv = ("nix", "flake", "init", "--template", f"path:{locked}#flake-parts")
    done = subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    inputs = {"nixpkgs": nixpkgs, "nix2oci": locked, "flake-parts": parts}
    options = [
        word for name, path in inputs.items() for word in ("--override-input", name, f"path:{path}")
    ]
    nix("flake", "lock", *options, f"path:{directory}")
    return directory


@pytest.mark.usefixtures("built")
def test_an_image_is_a_package_and_an_app_that_makes_the_same(flake: Path, tmp_path: Path) -> None:
    names = nix("eval", "--json", f"path:{flake}#packages", "--apply", NAMES)
    assert json.loads(names) == ["default", "image-app"]
    nix("build", f"path:{flake}#image-app", "-o", tmp_path / "image")
    found = json.loads(nix2oci("inspect", tmp_path / "image", "--json"))
    config = found["config"]["config"]
    assert (list(config["ExposedPorts"]), config["WorkingDir"]) == (["8080/tcp"], "/srv")
    streamed = nix("run", f"path:{flake}#image-app", "--", "-o", tmp_path / "x", "--json")
    assert json.loads(streamed)["digest"] == found["digest"]


NAMES = "of: builtins.attrNames (builtins.head (builtins.attrValues of))"


def test_a_key_that_is_none_is_an_error_with_its_place(flake: Path, tmp_path: Path) -> None:
    wrong = shutil.copytree(flake, tmp_path / "wrong")
    text = (wrong / "flake.nix").read_text()
    (wrong / "flake.nix").write_text(text.replace("settings = {", "setings = {"))
    argv = ("nix", "build", "--dry-run", f"path:{wrong}#image-app")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "setings' does not exist" in done.stderr
