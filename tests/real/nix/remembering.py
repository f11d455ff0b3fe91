"""A flake in git, and runs that build it, each with a memory and without."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from real.nix.tiny import PRELUDE, make

from nix2oci.cache.sealed_json import SealedJson
from nix2oci.model.closure import Closure, PathInfo
from nix2oci.nix.client import NixClient
from nix2oci.nix.flake_place import place_of
from nix2oci.nix.kept_answers import Kept

ALL, ONE = ["eval", "build", "path-info"], ["build"]
"""The processes of a first run, and of one where nothing changed."""
RANDOM = "read x < /proc/sys/kernel/random/uuid; echo $x > $out"
FLAKE_OF_TEXT = f"""{{
  outputs = {{ self }}: let {PRELUDE} in {{
    packages.SYSTEM.default = make "app-1.0" "echo ${{./text}} > $out" {{ }};
    packages.SYSTEM.random = make "random" "{RANDOM}" {{ }};
  }};
}}"""
WITH_INPUT = f"""{{
  inputs.part.url = "URL";
  outputs = {{ self, part }}: let {PRELUDE} in {{
    packages.SYSTEM.default = make "app-${{part.name}}" "echo x > $out" {{ }};
  }};
}}"""
PART = '{ outputs = { self }: { name = "NAME"; }; }'


@dataclass
class Repository:
    """A flake in git with one file, and the runs that build it, each with a memory and without."""

    directory: Path
    wrapper: Path
    messages: list[str] = field(default_factory=list)
    text: str = "."
    options: tuple[str, ...] = ()

    @property
    def answers(self) -> Path:
        return self.wrapper / "answers"

    def git(self, *argv: str, at: str = ".") -> None:
        subprocess.run(("git", "-C", self.directory / at, *argv), check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", "x")

    def client(self) -> NixClient:
        env = os.environ  # noqa: TID251
        known = {**env, "PATH": f"{self.wrapper}:{env['PATH']}"}
        return NixClient(known, self.options)

    def remembering(self) -> NixClient:
        found = self.client()
        found.kept = Kept(SealedJson(str(self.answers)), self.messages.append)
        return found

    def run(self) -> list[str]:
        """The processes of a run that remembers; it must find what one without memory finds."""
        log = self.wrapper / "log"
        log.write_text("")
        found = self._made(self.remembering())
        calls = log.read_text().split()
        assert found == self._made(self.client())
        return calls

    def _made(self, nix: NixClient) -> tuple[object, list[PathInfo]]:
        kind = {"file": self.text} if self.text.endswith(".nix") else {}
        named = nix.installable("default" if kind else self.text, **kind)
        nix.evaluate_early(named)
        place = place_of(nix, named)
        settings = Path(place.directory or "", "nix2oci.yaml")
        said = settings.read_text() if settings.exists() else ""
        built, closure = make(nix, named)
        (one,) = built
        known: Closure = closure
        return (place.directory, said, one.package, one.roots), list(known.infos.values())


def with_input(repository: Repository, part: Path, write: Callable[..., Path], url: str) -> None:
    part.mkdir(exist_ok=True)
    (part / "flake.nix").write_text(PART.replace("NAME", "one"))
    write(WITH_INPUT.replace("URL", url))
    repository.git("add", "--all")
    repository.client().run(("flake", "lock", str(repository.directory)))
    repository.commit()


def delete(*paths: str) -> None:
    """As the garbage collector does, one after the other."""
    for path in paths:
        subprocess.run(("nix-store", "--delete", path), check=True, capture_output=True)
        assert not os.path.lexists(path)
