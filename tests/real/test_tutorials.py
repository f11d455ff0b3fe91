"""The tutorials are typed from their first line to their last, and show what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from real.console import File, steps
from real.distro import nix
from real.engines import ClientEngine, output
from real.stage import Stage, staged, type_in
from real.tutorials import TYPED_HERE
from support.tools import require, require_root

pytestmark = [pytest.mark.nix, pytest.mark.slow]

ENVIRONMENT = {
    "GIT_AUTHOR_NAME": "somebody",
    "GIT_AUTHOR_EMAIL": "somebody@example.com",
    "GIT_COMMITTER_NAME": "somebody",
    "GIT_COMMITTER_EMAIL": "somebody@example.com",
    "no_proxy": "127.0.0.1",
}
# What a page takes from nixpkgs and the stand-in does not have: a compiler of Go.
NIXPKGS = """\
{
  inputs.distro.url = "path:DISTRO";
  outputs = { self, distro }: {
    inherit (distro) lib;
    legacyPackages = builtins.mapAttrs (system: pkgs: pkgs // {
      buildGoModule = { pname, src, ... }: pkgs.runCommand pname { meta.mainProgram = pname; } ''
        test -e ${src}/cmd/${pname}/main.go
        install -D ${pkgs.busybox}/bin/busybox $out/bin/${pname}
      '';
    }) distro.legacyPackages;
  };
}
"""


# What the image that is deployed starts.
DEPLOYED = {
    "from-dockerfile": ("python3", "/usr/local/bin/shop.py"),
    "from-dockertools": ("/bin/redis-server", "/etc/queue.conf"),
    "from-nix2container": ("/bin/shop",),
    "from-ko-apko": ("/usr/sbin/nginx", "-c", "/etc/nginx/nginx.conf"),
}


@pytest.fixture(scope="module")
def nixpkgs(distro: Path, scratch: Path) -> Path:
    directory = scratch / "nixpkgs-of-tutorials"
    directory.mkdir()
    (directory / "flake.nix").write_text(NIXPKGS.replace("DISTRO", str(distro)))
    nix("flake", "lock", f"path:{directory}")
    return directory


def push_deployed(page: Path, registry: str | None, state: Path) -> None:
    """The image `…:0.9` of a page is in the registry, as another tool has made it."""
    for repository in set(re.findall(r"registry\.example\.com/(\S+):0\.9", page.read_text())):
        require("umoci", "skopeo")
        require_root()
        layout, bundle = state / "deployed", state / "bundle"
        output("umoci", "init", "--layout", layout)
        output("umoci", "new", "--image", f"{layout}:1")
        output("umoci", "unpack", "--image", f"{layout}:1", bundle)
        (bundle / "rootfs/etc").mkdir()
        (bundle / "rootfs/etc/motd").write_text("hello\n")
        output("umoci", "repack", "--image", f"{layout}:1", bundle)
        words = [word for each in DEPLOYED[page.stem] for word in ("--config.cmd", each)]
        output("umoci", "config", "--image", f"{layout}:1", *words)
        copy = ("skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false")
        output(*copy, f"oci:{layout}:1", f"docker://{registry}/{repository}:0.9")


def follow(page: Path, stage: Stage, directory: Path) -> None:
    """Do what the page says, from a directory that is empty."""
    for step in steps(page):
        if isinstance(step, File):
            path = directory / step.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(stage.given(step.text))
        else:
            directory = type_in(step, stage, directory)


@pytest.mark.parametrize("page", TYPED_HERE, ids=lambda page: page.stem)
def test_a_tutorial_shows_what_happens(
    page: Path,
    nixpkgs: Path,
    podman_engine: ClientEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require("git", "curl", "docker-registry", "kubectl")
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "home"
    home.mkdir()
    with staged(page.read_text(), nixpkgs, tmp_path, {"podman": podman_engine}, "") as stage:
        push_deployed(page, stage.registry, tmp_path)
        follow(page, stage, home)
