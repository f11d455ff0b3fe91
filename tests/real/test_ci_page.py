"""The script of docs/ci.md is run as it stands, with a registry of its own."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from real.distro import FLAKES
from real.engines import output
from real.images import NIX2OCI
from real.pipelines import checkout
from real.registries import serving
from support.tools import require

pytestmark = pytest.mark.nix

PAGE = FLAKES.parent / "docs/ci.md"


def script() -> str:
    """The block that is a whole script."""
    found = re.search(r"^```sh\n(#!/bin/sh\n.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_script_of_the_page_pushes_an_image(distro: Path, tmp_path: Path) -> None:
    require("git", "nix", "skopeo")
    here = checkout(distro, tmp_path / "here")
    (tmp_path / "ci.sh").write_text(script())
    with serving(tmp_path / "state") as registry:
        repository = f"{registry.host}/team/app"
        path = f"{Path(NIX2OCI).parent}:{os.environ['PATH']}"  # noqa: TID251
        env = {**os.environ, "PATH": path, "REPO": repository, "TAG": "1.0"}  # noqa: TID251
        argv = ("sh", tmp_path / "ci.sh")
        subprocess.run(argv, cwd=here, env=env, capture_output=True, check=True)
        done = subprocess.run(argv, cwd=here, env=env, capture_output=True, text=True, check=True)
        inspect = ("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}")
        digest = output(*inspect, f"docker://{repository}:1.0").strip()
    assert done.stdout == f"{repository}@{digest}\n"
    assert (here / "refs.txt").read_text() == f"{repository}:1.0@{digest}\n"
    assert "sent no blob" in done.stderr
    assert sorted(path.name for path in here.iterdir() if path.suffix == ".oci") == []
