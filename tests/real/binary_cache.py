"""Keys, and builds from another store."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from real.distro import nix
from real.images import NIX2OCI

Completed = subprocess.CompletedProcess[str]


def keys(directory: Path) -> tuple[Path, str]:
    """A new key: the file with the secret one, and the text of the public one."""
    secret = directory / "secret"
    secret.write_text(nix("key", "generate-secret", "--key-name", "nix2oci.test-1"))
    public = subprocess.run(
        ["nix", "key", "convert-secret-to-public"],
        input=secret.read_text(),
        capture_output=True,
        text=True,
        check=True,
    )
    return secret, public.stdout.strip()


def build(*arguments: str | Path) -> Completed:
    argv = (NIX2OCI, "build", *arguments)
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=500)


EXPRESSION = """derivation {
  name = "tiny"; system = "SYSTEM"; builder = "/bin/sh"; PATH = "/bin:/usr/bin";
  args = [ "-c" "mkdir -p $out/bin; cd $out;
    printf '\\\\177ELF' > bin/run; echo y > data; chmod +x bin/run" ];
}"""
"""A derivation of one small path."""


def out_path_of(expression: str) -> Path:
    (answer,) = json.loads(nix("build", "--json", "--no-link", "--impure", "--expr", expression))
    return Path(answer["outputs"]["out"])
