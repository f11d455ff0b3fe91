"""What docs/more-pipelines.md shows: its flake is built, and its scripts are run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from real.distro import nix
from real.docker_registry import registry
from real.images import NIX2OCI, nix2oci
from real.pipelines import checkout as flake_with_app
from support.paths import ROOT
from support.tools import require

pytestmark = [pytest.mark.nix, pytest.mark.slow]

PAGE = (ROOT / "docs/more-pipelines.md").read_text()
ADDRESSES = {
    "github:NixOS/nixpkgs/nixos-unstable": "path:NIXPKGS",
    "github:OWNER/nix2oci": "path:CHECKOUT",
}


def block(kind: str) -> str:
    """The first block of the page of a kind."""
    found = re.search(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def shell(script: str, directory: Path, programs: Path, **more: str) -> None:
    path = f"{programs}:{os.environ['PATH']}"  # noqa: TID251
    env = {**os.environ, "PATH": path, **more}  # noqa: TID251
    argv = ("sh", "-c", script)
    done = subprocess.run(argv, cwd=directory, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def digest(reference: str) -> str:
    return str(json.loads(nix2oci("inspect", reference, "--json"))["digest"])


@pytest.mark.usefixtures("built")
def test_the_job_of_a_service_is_an_image_that_its_script_pushes(
    tmp_path: Path, checkout: Path, nixpkgs: Path
) -> None:
    system = nix("eval", "--raw", "--impure", "--expr", "builtins.currentSystem")
    text = block("nix").replace("x86_64-linux", system).replace("}.hello;", "}.bash;")
    for address, ours in ADDRESSES.items():
        assert address in text
        text = text.replace(address, ours)
    (tmp_path / "flake").mkdir()
    text = text.replace("NIXPKGS", str(nixpkgs)).replace("CHECKOUT", str(checkout))
    (tmp_path / "flake/flake.nix").write_text(text)
    job = f"path:{tmp_path}/flake#hydraJobs.image.{system}"
    out = json.loads(nix("build", "--json", "--no-link", job))[0]["outputs"]["out"]
    with registry(tmp_path) as host:
        shell(
            block("sh"),
            tmp_path,
            Path(NIX2OCI).parent,
            OUT=out,
            REPO=f"{host}/team/hello",
            TAG="1.0",
        )
        assert digest(f"{host}/team/hello:1.0") == digest(out)


def test_the_task_of_tekton_pushes_and_has_its_results(distro: Path, tmp_path: Path) -> None:
    require("git", "nix")
    task: Any = yaml.safe_load(block("yaml"))
    here = flake_with_app(distro, tmp_path / "here")
    shim = tmp_path / "bin/nix"
    shim.parent.mkdir()
    real = shutil.which("nix")
    shim.write_text(
        f'#!/bin/sh\n[ "$1" = run ] || exec {real} "$@"\n'
        f'[ "$2 $3" = "the-flake --" ] || exit 9\nshift 3\nexec {NIX2OCI} "$@"\n'
    )
    shim.chmod(0o755)
    with registry(tmp_path) as host:
        known = {
            "params.nix2oci": "the-flake",
            "params.installable": ".#app",
            "params.image": f"{host}/team/app:1.0",
            "workspaces.dockerconfig.path": "",
            "results.reference.path": str(tmp_path / "reference"),
            "results.digest.path": str(tmp_path / "digest"),
        }
        (step,) = task["spec"]["steps"]
        env = {each["name"]: filled(each["value"], known) for each in step["env"]}
        assert "$(" not in step["script"].replace("$(nix run", "")
        env.pop("NIX_CONFIG")  # this machine's has more
        shell(step["script"], here, shim.parent, **env)
        pushed = digest(f"{host}/team/app:1.0")
        assert (tmp_path / "digest").read_text() == pushed
        assert (tmp_path / "reference").read_text() == f"{host}/team/app@{pushed}"


def filled(text: str, known: dict[str, str]) -> str:
    """A value with Tekton's variables replaced, all of which have to be known."""
    return re.sub(r"\$\(([\w.]+)\)", lambda found: known[found[1]], text)


def test_the_file_of_helpers_names_programs_for_registries() -> None:
    config = json.loads(block("json"))
    assert list(config) == ["credHelpers"]
    helpers = re.findall(r"`docker-credential-([\w-]+)`", PAGE)
    assert set(config["credHelpers"].values()) <= set(helpers)
