"""A flake with many images: applications on top of programs of `distro`, one edited at a time."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = {
    "curl": "curl",
    "git": "git",
    "redis": "redis-server",
    "nginx": "nginx",
    "openssl": "openssl",
    "perl": "perl",
    "python3": "python3",
    "python3-flask": "flask",
    "bash": "bash",
    "postgresql": "createdb",
    "busybox": "busybox",
    "gawk": "gawk",
    "coreutils": "ls",
    "findutils": "find",
    "gnused": "sed",
    "gnugrep": "grep",
}
"""What an application starts, by the package that has it."""

TWENTY = (*PROGRAMS, *(f"{name}-2" for name in ("curl", "git", "redis", "python3-flask")))
"""Names of twenty images: some are of the same package."""

_FLAKE = """\
{{
  inputs.nixpkgs.url = "path:{distro}";
  outputs = {{ self, nixpkgs }}: {{
    packages = builtins.mapAttrs (system: pkgs: let
      app = name: program: version: pkgs.runCommand name {{ meta.mainProgram = name; }} ''
        mkdir -p $out/bin $out/share
        ln -s ${{program}} $out/bin/${{name}}
        echo ${{version}} > $out/share/version
      '';
    in {{
{packages}
    }}) nixpkgs.legacyPackages;
  }};
}}
"""


@dataclass
class Shop:
    """The flake; `versions` are what was edited of an image."""

    directory: Path
    distro: Path
    names: tuple[str, ...]
    versions: dict[str, str] = field(default_factory=dict)
    settings: str = ""
    """Of nix2oci.yaml, for every image."""

    def write(self) -> None:
        """Write flake.nix and nix2oci.yaml."""
        self.directory.mkdir(exist_ok=True)
        packages = "\n".join(map(self._package, self.names))
        flake = _FLAKE.format(distro=self.distro, packages=packages)
        (self.directory / "flake.nix").write_text(flake)
        images = "".join(f"  {name}: {{}}\n" for name in self.names)
        (self.directory / "nix2oci.yaml").write_text(f"{self.settings}\nimages:\n{images}")
        (self.directory / "alone.yaml").write_text(f"{self.settings}\n")

    def _package(self, name: str) -> str:
        package = name.removesuffix("-2")
        program = f"${{pkgs.{package}}}/bin/{PROGRAMS[package]}"
        version = self.versions.get(name, "1")
        return f'      {name} = app "{name}" "{program}" "{version}";'

    def edit(self, name: str, text: str) -> None:
        """Another version of one application."""
        self.versions[name] = text
        self.write()

    @property
    def flake(self) -> str:
        return f"path:{self.directory}"

    def alone(self, name: str) -> tuple[str, ...]:
        """What a build of one image is given to make what `images` says of it."""
        config = f"{self.directory}/alone.yaml"
        return (f"{self.flake}#{name}", "--config", config, "--name", name)


class Counted:
    """A `nix` on PATH that counts the calls of the real one."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "nix-calls"
        path = os.environ["PATH"]  # noqa: TID251  # a test runs in the caller's environment
        shim = directory / "bin" / "nix"
        shim.parent.mkdir(parents=True)
        note = f'echo "$*" | tr "\\n" " " >> {self.log}\necho >> {self.log}'
        shim.write_text(f'#!/bin/sh\n{note}\nPATH={path} exec nix "$@"\n')
        shim.chmod(0o755)
        self.env = {**os.environ, "PATH": f"{shim.parent}:{path}"}  # noqa: TID251

    def take(self) -> Counter[str]:
        """How often each command of nix was called since the last time."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        word = r"(?:flakes )?(--version|flake metadata|eval|build|path-info)\b"
        return Counter(found[1] for line in lines if (found := re.search(word, line)))


def requests(state: Path) -> Counter[str]:
    """The requests that a docker-registry wrote down, by method."""
    log = (state / "log").read_text()
    return Counter(re.findall(r"http\.request\.method=(\w+)", log))


def stored(state: Path) -> int:
    """Bytes of the blobs that a docker-registry has."""
    blobs = (state / "registry").rglob("blobs/sha256/*/*/data")
    return sum(path.stat().st_size for path in blobs)
