"""Twelve manifests with images of a flake: real Nix, a real registry, and kubectl."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from real.distro import FLAKES, nix
from real.engines import output
from real.images import NIX2OCI
from real.registries import serving
from support.manifests import DIRECTORY, MANIFESTS, replaced_and_left
from support.tools import require

from nix2oci.config.yaml_inputs import joined

pytestmark = pytest.mark.nix

FLAKE = """\
{
  inputs.nixpkgs.url = "path:DISTRO";
  outputs = { self, nixpkgs }: {
    packages = nixpkgs.lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system:
      let
        pkgs = nixpkgs.legacyPackages.${system};
        program = pname: pkgs.stdenv.mkDerivation {
          inherit pname;
          version = "1.0";
          src = ./.;
          buildPhase = "$CC -o ${pname} hello.c";
          installPhase = "install -D ${pname} $out/bin/${pname}";
        };
      in
      { app = program "app"; worker = program "worker"; });
  };
}
"""


@dataclass(frozen=True)
class Resolved:
    """What went in, what came out, and the references in it."""

    before: bytes
    after: bytes
    said: str
    references: Mapping[str, str]


@pytest.fixture(scope="module")
def resolved(distro: Path, tmp_path_factory: pytest.TempPathFactory) -> Resolved:
    require("nix", "skopeo", "docker-registry")
    here = tmp_path_factory.mktemp("flake")
    (here / "flake.nix").write_text(FLAKE.replace("DISTRO", str(distro)))
    (here / "nix2oci.yaml").write_text("images: {web: {installable: .#worker, cmd: [--web]}}\n")
    shutil.copy(FLAKES / "hello-c/hello.c", here)
    nix("flake", "lock", f"path:{here}")
    with serving(tmp_path_factory.mktemp("registry")) as registry:
        repository = f"{registry.host}/shop"
        env = {**os.environ, "NIX2OCI_REPO": repository}  # noqa: TID251
        argv = (NIX2OCI, "resolve", "-f", DIRECTORY)
        done = subprocess.run(
            argv, cwd=here, env=env, capture_output=True, check=False, timeout=500
        )
        assert done.returncode == 0, done.stderr.decode()
        inspect = ("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}")
        names = {}
        for installable in (".#app", ".#worker", "#web"):
            place = f"{repository}/{installable.rpartition('#')[2]}"
            names[installable] = f"{place}@{output(*inspect, f'docker://{place}').strip()}"
    before = joined([path.read_bytes() for path in sorted(DIRECTORY.iterdir())])
    return Resolved(before, done.stdout, done.stderr.decode(), names)


def test_only_the_references_differ(resolved: Resolved) -> None:
    replaced, left = map(sum, zip(*MANIFESTS.values(), strict=True))
    found = replaced_and_left(resolved.before, resolved.after, resolved.references)
    assert found == (replaced, left)


def test_each_image_was_built_and_pushed_once(resolved: Resolved) -> None:
    assert resolved.said.count("nix2oci: pushing to ") == 3


def test_what_was_left_alone_is_said(resolved: Resolved) -> None:
    """In comments, nobody expects it to be replaced."""
    said = [line for line in resolved.said.splitlines() if "stays as it is" in line]
    assert [line.partition(f"{DIRECTORY}/")[2].partition(" ")[0] for line in said] == [
        *("03-crd.yaml:31:", "04-scripts.yaml:9:", "04-scripts.yaml:30:", "08-workflow.yaml:33:"),
        *("09-task.yaml:9:", "09-task.yaml:26:", "11-service.yaml:9:", "11-service.yaml:14:"),
    ]


def test_kubectl_reads_the_same_objects_but_for_the_references(
    resolved: Resolved, tmp_path: Path
) -> None:
    require("kubectl")
    before, after = (labelled(data, tmp_path) for data in (resolved.before, resolved.after))
    assert [each["kind"] for each in after].count("Deployment") == 3
    assert after == replaced(before, resolved.references) != before


def test_kustomize_builds_the_same_but_for_the_references(
    resolved: Resolved, tmp_path: Path
) -> None:
    require("kubectl")
    before, after = (kustomized(data, tmp_path) for data in (resolved.before, resolved.after))
    assert len(after) > 15
    assert after == replaced(before, resolved.references) != before


def labelled(data: bytes, scratch: Path) -> list[Any]:
    """The objects that kubectl finds in a stream, with a label more."""
    (scratch / "all.yaml").write_bytes(data)
    text = output(
        *("kubectl", "label", "--local", "-f", scratch / "all.yaml", "-o", "json", "a=b")
    ).strip()
    found = []
    while text:
        one, end = json.JSONDecoder().raw_decode(text)
        found.append(one)
        text = text[end:].lstrip()
    return found


def kustomized(data: bytes, scratch: Path) -> list[Any]:
    """The objects that a kustomization of a stream makes."""
    (scratch / "all.yaml").write_bytes(data)
    (scratch / "kustomization.yaml").write_text("resources: [all.yaml]\nnamePrefix: new-\n")
    (scratch / "built.yaml").write_text(output("kubectl", "kustomize", scratch))
    return labelled((scratch / "built.yaml").read_bytes(), scratch)


def replaced(value: Any, references: Mapping[str, str]) -> Any:
    """The same with each value that is nothing but a mention replaced."""
    if isinstance(value, dict):
        return {key: replaced(each, references) for key, each in value.items()}
    if isinstance(value, list):
        return [replaced(each, references) for each in value]
    bare = value.strip("\n") if isinstance(value, str) else ""
    there = references.get(bare.removeprefix("nix2oci://"))
    return value.replace(bare, there) if there else value
