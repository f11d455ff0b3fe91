"""The commands of docs/trust.md, in their order, with a registry that lists referrers."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from support.fakeregistry import FakeRegistry
from support.fakeserver import running
from support.paths import ROOT
from support.terminal import NIX2OCI, Terminal
from support.tools import require

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs/trust.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
QUIET = {
    "TRIVY_SKIP_VERSION_CHECK": "true",
    "TRIVY_DISABLE_TELEMETRY": "true",
    "TRIVY_OFFLINE_SCAN": "true",
    "TRIVY_SKIP_DB_UPDATE": "true",
    "TRIVY_SKIP_JAVA_DB_UPDATE": "true",
}


def with_store(terminal: Terminal, bin_: Path) -> None:
    """A nix2oci on PATH that knows the store of the fake Nix."""
    bin_.mkdir()
    script = f"""#!/bin/sh
case $1 in build | verify) set -- "$@" --store {terminal.fake.root} ;; esac
exec {NIX2OCI} "$@"
"""
    (bin_ / "nix2oci").write_text(script)
    (bin_ / "nix2oci").chmod(0o755)


def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    require("cosign", "trivy", "openssl", "nix-store")
    terminal = Terminal.make(tmp_path)
    with_store(terminal, tmp_path / "bin")
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) == 5
    with running(FakeRegistry(lists_referrers=True)) as registry:
        script = "\n".join(["set -eux", *blocks])
        script = script.replace("registry.example.com", registry.registry)
        path = f"{tmp_path}/bin:{terminal.fake.bin}:{os.environ['PATH']}"  # noqa: TID251
        env = {**terminal.env(), **QUIET, "PATH": path, "TUF_ROOT": str(tmp_path / "tuf")}
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=terminal.directory,
            env={**env, "TRIVY_CACHE_DIR": str(tmp_path / "trivy")},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    assert "attestation of cyclonedx" in done.stdout
    packages = json.loads((terminal.directory / "packages.json").read_text())
    assert packages["ArtifactType"] == "cyclonedx"
