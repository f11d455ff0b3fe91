"""The repository as a flake, with the stand-in for nixpkgs: run, checked, the same as by pip."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from real.distro import nix, sample
from real.images import NIX2OCI
from real.images import nix2oci as installed

import nix2oci as package

pytestmark = [pytest.mark.nix, pytest.mark.slow]


def test_the_flake_shows_what_it_has(checkout: Path, options: tuple[str, ...]) -> None:
    shown = json.loads(nix("flake", "show", "--json", *options, f"path:{checkout}"))
    system = next(iter(shown["packages"]))
    assert {name: sorted(shown[name][system]) for name in ("packages", "apps", "checks")} == {
        "packages": ["default", "image", "nix2oci"],
        "apps": ["default"],
        "checks": ["bundler", "image", "launchers", "module", "package"],
    }
    assert sorted(shown["templates"]) == ["app", "ci", "default", "flake-parts", "image", "multi"]
    assert {"devShells", "formatter", "overlays"} <= set(shown)


def test_it_runs(checkout: Path, options: tuple[str, ...], built: Path) -> None:
    ran = nix("run", *options, f"path:{checkout}", "--", "--version")
    assert ran == f"nix2oci {package.__version__}\n"
    assert (built / "bin/nix2oci").exists()
    share = [path for path in (checkout / "share").rglob("*") if path.is_file()]
    assert share
    for path in share:
        assert (built / path.relative_to(checkout)).read_bytes() == path.read_bytes()


@pytest.mark.usefixtures("built")
def test_its_checks_pass_among_them_that_of_the_launchers(
    checkout: Path, options: tuple[str, ...]
) -> None:
    nix("flake", "check", *options, f"path:{checkout}")
    system = nix("eval", "--raw", "--impure", "--expr", "builtins.currentSystem")
    check = f"path:{checkout}#checks.{system}.launchers"
    answer = json.loads(nix("build", "--json", "--no-link", *options, check))
    assert Path(answer[0]["outputs"]["out"]).read_text() == (
        "launcher-aarch64: OK\nlauncher-x86_64: OK\n"
    )


def test_without_flakes_and_by_the_overlay_it_is_the_same_package(
    checkout: Path, nixpkgs: Path, built: Path
) -> None:
    pkgs = f"(import {nixpkgs} {{ }})"
    without = f"(import {checkout} {{ pkgs = {pkgs}; }}).nix2oci.outPath"
    overlay = f"((import {checkout}/flake.nix).outputs {{ self = null; nixpkgs = {pkgs}; }})"
    overlaid = f"({overlay}.overlays.default {pkgs} {pkgs}).nix2oci.outPath"
    for expression in (without, overlaid):
        assert nix("eval", "--raw", "--impure", "--expr", expression) == str(built)


def test_what_a_checkout_has_beside_its_files_is_not_copied_into_the_store(
    checkout: Path, nixpkgs: Path, built: Path, tmp_path: Path
) -> None:
    dirty = shutil.copytree(checkout, tmp_path / "dirty")
    for name in (".venv/large", ".cache/large", "result", "nix2oci/launcher/launcher-x86_64"):
        (dirty / name).parent.mkdir(parents=True, exist_ok=True)
        (dirty / name).write_text("of a build")
    expression = f"(import {dirty} {{ pkgs = import {nixpkgs} {{ }}; }}).nix2oci.outPath"
    assert nix("eval", "--raw", "--impure", "--expr", expression) == str(built)


def test_its_images_have_the_digest_of_an_installation_by_pip(
    built: Path, distro: Path, tmp_path: Path
) -> None:
    subject = sample(distro, "web-python")
    digests = []
    for number, program in enumerate((NIX2OCI, str(built / "bin/nix2oci"))):
        argv = (program, "build", *subject, "--json", "-o", str(tmp_path / str(number)))
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        digests.append([document[key] for key in ("digest", "compressor", "launcher")])
    assert digests[0] == digests[1]
    assert digests[0][2]["released"] is True


# nixpkgs for systems that this machine is not: enough to evaluate, nothing that could be built.
SYSTEMS = """{
  inputs.distro.url = "path:DISTRO";
  outputs = { self, distro }:
    let
      inherit (distro) lib;
      here = lib.head (lib.attrValues distro.legacyPackages);
      pkgsOf = system:
        let
          platform = { inherit system; isLinux = builtins.match ".*-linux" system != null; };
          stdenv = here.stdenv // { buildPlatform = platform; hostPlatform = platform; };
          pkgs = here // {
            inherit stdenv;
            stdenvNoCC = stdenv;
            callPackage = lib.callPackageWith pkgs;
          };
        in
        pkgs;
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs
        [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" "riscv64-linux" ]
        pkgsOf;
    };
}
"""
ZIGS = {
    "x86_64-linux": "manylinux_2_12_x86_64.manylinux2010_x86_64.musllinux_1_1_x86_64",
    "aarch64-linux": "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
    "x86_64-darwin": "macosx_13_0_x86_64",
    "aarch64-darwin": "macosx_13_0_arm64",
}


def test_it_is_for_linux_and_macos_each_with_its_zig(
    checkout: Path, nixpkgs: Path, tmp_path: Path
) -> None:
    (tmp_path / "flake.nix").write_text(SYSTEMS.replace("DISTRO", str(nixpkgs)))
    options = ("--override-input", "nixpkgs", f"path:{tmp_path}", "--no-write-lock-file")
    for output in ("packages", "apps", "checks", "devShells", "formatter"):
        found = nix(
            *("eval", "--json", *options, f"path:{checkout}#{output}"),
            *("--apply", "builtins.attrNames"),
        )
        assert json.loads(found) == sorted(ZIGS), output
    zigs = "builtins.mapAttrs (_: of: of.default.launchers.zig.name)"
    found = nix("eval", "--json", *options, f"path:{checkout}#packages", "--apply", zigs)
    assert json.loads(found) == {
        system: f"ziglang-0.17.1-py3-none-{platform}.whl" for system, platform in ZIGS.items()
    }


def test_its_image_on_a_mac_is_made_there_and_has_the_programs_of_linux(
    checkout: Path, nixpkgs: Path, tmp_path: Path
) -> None:
    (tmp_path / "flake.nix").write_text(SYSTEMS.replace("DISTRO", str(nixpkgs)))
    options = ("--override-input", "nixpkgs", f"path:{tmp_path}", "--no-write-lock-file")

    def of_each(output: str, apply: str) -> dict[str, list[str]]:
        apply = f"builtins.mapAttrs (_: of: {apply})"
        argv = ("eval", "--json", *options, f"path:{checkout}#{output}", "--apply", apply)
        found: dict[str, list[str]] = json.loads(nix(*argv))
        return found

    images = of_each("packages", "with of.image; [ system (builtins.elemAt args 1) ]")
    packages = of_each("packages", "[ of.nix2oci.outPath ]")
    for system in ZIGS:
        of_linux = packages[system.replace("-darwin", "-linux")]
        assert images[system] == [system, *of_linux]
    checks = of_each("checks", "builtins.attrNames of")
    assert checks["aarch64-darwin"] == ["launchers", "package"]
    assert "image" in checks["aarch64-linux"]


def test_the_library_is_the_same_with_flakes_without_and_with_other_packages(
    checkout: Path, nixpkgs: Path, options: tuple[str, ...], built: Path
) -> None:
    system = nix("eval", "--raw", "--impure", "--expr", "builtins.currentSystem")
    pkgs = f"pkgs = import {nixpkgs} {{ }};"
    package = f'package = builtins.storePath "{built}";'
    of_flake = ("eval", "--raw", "--impure", *options)
    legacy = f"path:{checkout}#legacyPackages.{system}.buildImage"
    without = f"(import {checkout} {{ {pkgs} }}).lib.buildImage"
    paths = {
        nix(*of_flake, legacy, "--apply", f"f: (f {{ {package} }}).outPath"),
        nix(
            *(*of_flake, f"path:{checkout}#lib.buildImage"),
            *("--apply", f"f: (f {{ {pkgs} {package} }}).outPath"),
        ),
        nix("eval", "--raw", "--impure", "--expr", f"({without} {{ {package} }}).outPath"),
    }
    assert len(paths) == 1


@pytest.mark.parametrize(("template", "images"), [("app", ()), ("multi", ("web", "worker"))])
def test_a_template_is_a_flake_whose_images_can_be_built(
    template: str, images: tuple[str, ...], locked: Path, distro: Path, tmp_path: Path
) -> None:
    flake = tmp_path / "flake"
    flake.mkdir()
    argv = ("nix", "flake", "init", "--template", f"path:{locked}#{template}")
    done = subprocess.run(argv, cwd=flake, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    options = ("--override-input", "nixpkgs", f"path:{distro}", "--no-write-lock-file")
    every = ("--all",) if images else ()
    installed("build", *every, f"path:{flake}", *options, "-o", tmp_path / "x")
    assert all((tmp_path / "x" / name / "index.json").exists() for name in images or (".",))
