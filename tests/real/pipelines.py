"""What a pipeline has: a checkout of a flake, and a runner of the steps of an action."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from real.distro import FLAKES, nix
from real.engines import output
from support.github_files import outputs_of
from support.paths import ROOT

Completed = subprocess.CompletedProcess[str]


def checkout(distro: Path, to: Path) -> Path:
    """A git repository of a flake with a package `app`, whose nixpkgs is the stand-in."""
    shutil.copytree(FLAKES / "hello-c", to)
    flake = to / "flake.nix"
    text = flake.read_text().replace("default = pkgs", "app = pkgs")
    flake.write_text(text.replace("github:NixOS/nixpkgs/nixos-unstable", f"path:{distro}"))
    nix("flake", "lock", f"path:{to}")
    who = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
    for command in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "All")):
        output("git", *who, "-C", to, *command)
    return to


class StepError(Exception):
    """A step failed; the text is what it printed."""


@dataclass
class Runner:
    """Runs the steps of `action.yml` as GitHub's runner does, those that `use` another left out.

    Of expressions it knows values of contexts, and their comparison with a text.
    """

    home: Path
    checkout: Path
    environment: Mapping[str, str]
    used: list[Mapping[str, str]] = field(default_factory=list)
    """What the actions that were left out would have been given."""
    _path: list[str] = field(default_factory=list)
    _runs: int = 0

    def run(self, *, only: str | None = None, **inputs: str) -> tuple[dict[str, str], str]:
        """The outputs of the action and the job summary; raises `StepError`."""
        action: Any = yaml.safe_load((ROOT / "action.yml").read_text())
        known = {f"inputs.{name}": one["default"] for name, one in action["inputs"].items()}
        given = {f"inputs.{name.replace('_', '-')}": value for name, value in inputs.items()}
        assert set(given) <= set(known)
        known |= given | {"runner.arch": "X64", "github.sha": "0" * 40}
        self._runs += 1
        summary = self._file("summary")
        for step in action["runs"]["steps"]:
            if only in {None, step.get("id")} and self._wanted(step.get("if", ""), known):
                found = self._step(step, known, summary)
                known |= {f"steps.{step.get('id')}.outputs.{n}": v for n, v in found.items()}
        outputs = action["outputs"].items()
        return {n: self._filled(one["value"], known) for n, one in outputs}, summary.read_text()

    def _step(self, step: Any, known: Mapping[str, str], summary: Path) -> dict[str, str]:
        if "uses" in step:
            self.used.append({n: self._filled(v, known) for n, v in step["with"].items()})
            return {}
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "an input could be a command"
        files = {f"GITHUB_{name}": self._file(name.lower()) for name in ("OUTPUT", "PATH")}
        script = self._file("script")
        script.write_text(step["run"])
        given = {name: self._filled(text, known) for name, text in step.get("env", {}).items()}
        env = {
            **self.environment,
            "PATH": ":".join([*self._path, self.environment["PATH"]]),
            "HOME": str(self.home),
            "RUNNER_TEMP": str(self.home / "temp"),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_STEP_SUMMARY": str(summary),
            **{name: str(path) for name, path in files.items()},
            **given,
        }
        (self.home / "temp").mkdir(exist_ok=True)
        argv = ("bash", "--noprofile", "--norc", "-eo", "pipefail", script)
        done = subprocess.run(
            argv, cwd=self.checkout, env=env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise StepError(done.stdout + done.stderr)
        self._path = [*files["GITHUB_PATH"].read_text().splitlines(), *self._path]
        return outputs_of(files["GITHUB_OUTPUT"].read_text())

    def _file(self, name: str) -> Path:
        path = self.home / f"{name}-{self._runs}-{len([*self.home.iterdir()])}"
        path.touch()
        return path

    @staticmethod
    def _filled(text: str, known: Mapping[str, str]) -> str:
        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: known.get(found[1], ""), text)

    @staticmethod
    def _wanted(condition: str, known: Mapping[str, str]) -> bool:
        if not condition:
            return True
        found = re.fullmatch(r"([\w.-]+) != '(.*)'", condition)
        assert found, condition
        return known.get(found[1], "") != found[2]
