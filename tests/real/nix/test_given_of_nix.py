"""What a recent Nix and an old one write of a closure stands in for them, to the same image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from real.distro import nix, out_path
from real.images import NIX2OCI
from support.tools import require

pytestmark = pytest.mark.nix


def without_nix(directory: Path) -> dict[str, str]:
    """An environment in which nobody finds a Nix."""
    (directory / "home").mkdir(exist_ok=True)
    return {"PATH": "/nowhere", "HOME": str(directory / "home"), "LC_ALL": "C.UTF-8"}


def digest(*args: str, env: dict[str, str] | None = None) -> str:
    argv = [NIX2OCI, "build", *args, "--json", "--no-cache"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["digest"])


def test_an_image_by_the_command_and_by_what_nix_writes(distro: Path, tmp_path: Path) -> None:
    require("nix", "nix-store")
    path = str(out_path(f"path:{distro}#sed"))
    by_nix = digest(path, "-o", f"{tmp_path}/by-nix")
    recorded = {
        "path-info": nix("path-info", "--json", "--recursive", path),
        "registration": subprocess.run(
            ["nix-store", "--dump-db", *nix("path-info", "--recursive", path).split()],
            capture_output=True,
            text=True,
            check=True,
        ).stdout,
    }
    for name, text in recorded.items():
        (tmp_path / name).write_text(text)
        args = ("--closure", f"{tmp_path}/{name}", path, "-o", f"{tmp_path}/{name}.oci")
        assert digest(*args, env=without_nix(tmp_path)) == by_nix, name


def test_the_attributes_of_a_builder_have_the_closure(distro: Path, tmp_path: Path) -> None:
    """Structured attributes with exportReferencesGraph, as a library of images would use them."""
    require("nix")
    path = str(out_path(f"path:{distro}#sed"))
    expression = f"""
      derivation {{
        name = "graph";
        system = builtins.currentSystem;
        builder = "/bin/sh";
        args = [ "-c" "read -r text < $NIX_ATTRS_JSON_FILE || true;
          printf '%s' \\"$text\\" > ${{builtins.placeholder "out"}}" ];
        __structuredAttrs = true;
        exportReferencesGraph.closure = [ (builtins.storePath "{path}") ];
      }}
    """
    shutil.copy(out_path(expression, "--impure", "--expr"), tmp_path / "attrs.json")
    document = json.loads((tmp_path / "attrs.json").read_text())
    assert "closure" in document
    args = ("--closure", f"{tmp_path}/attrs.json", path, "-o", f"{tmp_path}/x")
    by_nix = digest(path, "-o", f"{tmp_path}/y")
    assert digest(*args, env=without_nix(tmp_path)) == by_nix
    assert os.path.isdir(tmp_path / "x")
