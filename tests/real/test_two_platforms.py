"""An index of two platforms is what its readers say it is: each takes what its machine runs.

The programs are cross-compiled, and the builders only copy: so a machine that takes derivations
of both systems stands for one with a remote builder.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from real.distro import SINGLE_USER
from real.docker_registry import registry
from real.engines import ClientEngine, Job, output, read_blob
from real.images import nix2oci
from real.shims import shims, with_shims
from support.tools import require

pytestmark = [pytest.mark.nix, pytest.mark.slow]

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
HERE = platform.machine()
BOTH = ("--platform", "linux/amd64,linux/arm64")
SOURCE = """\
#include <stdio.h>
#include <stdlib.h>
int main(void) { printf("%s from " MACHINE "\\n", getenv("GREETING")); return 0; }
"""
FLAKE = """\
{
  outputs = { self }:
    let
      make = system: name: script: derivation {
        inherit system name;
        program = ./. + "/hello-${builtins.head (builtins.split "-" system)}";
        builder = "/bin/sh";
        args = [ "-c" ("set -e; PATH=/usr/bin:/bin; mkdir -p $out/bin; " + script) ];
      };
      packages = system: rec {
        bash = make system "bash-5.2" ''
          install $program $out/bin/bash
          echo "@(#)Bash version 5.2" >>$out/bin/bash
        '';
        hello = make system "hello-1.0" ''
          install $program $out/bin/.hello-wrapped
          {
            echo "#! ${bash}/bin/bash -e"
            echo "export GREETING='hello'"
            echo "exec -a \\"\\$0\\" \\"$out/bin/.hello-wrapped\\"  \\"\\$@\\" "
          } >$out/bin/hello
          chmod +x $out/bin/hello
        '';
        cross = derivation {
          inherit system;
          name = "cross-1.0";
          program = ./hello-aarch64;
          builder = "/bin/sh";
          args = [ "-c" "PATH=/usr/bin:/bin; mkdir -p $out/bin; install $program $out/bin/cross" ];
        };
        wrong = make system "wrong-1.0" "install ${./hello-x86_64} $out/bin/wrong";
      };
    in {
      packages = {
        x86_64-linux = packages "x86_64-linux";
        aarch64-linux = packages "aarch64-linux";
      };
    };
}
"""


@dataclass(frozen=True)
class Sample:
    """A flake for both platforms, and an index of what it has."""

    flake: Path
    index: Path
    env: Mapping[str, str]

    def build(self, *args: str | Path, env: Mapping[str, str] | None = None) -> str:
        chosen = {**(env or os.environ), "NIX_CONFIG": self.env["NIX_CONFIG"]}  # noqa: TID251
        return nix2oci("build", f"path:{self.flake}#hello", "--quiet", *args, env=chosen)


@pytest.fixture(scope="module")
def sample(scratch: Path) -> Sample:
    require("nix", "file")
    flake = scratch / "two-platforms"
    flake.mkdir()
    (flake / "flake.nix").write_text(FLAKE)
    (flake / "hello.c").write_text(SOURCE)
    for machine in MACHINES:
        target = (f'-DMACHINE="{machine}"', "-target", f"{machine}-linux-musl")
        compiler = (sys.executable, "-m", "ziglang", "cc", "-static", "-Os", "-s")
        output(*compiler, *target, "-o", flake / f"hello-{machine}", flake / "hello.c")
    config = os.environ.get("NIX_CONFIG", SINGLE_USER)  # noqa: TID251
    systems = " ".join(f"{machine}-linux" for machine in MACHINES)
    env = {"NIX_CONFIG": f"{config}\nextra-platforms = {systems}\n"}
    made = Sample(flake, scratch / "two-platforms.oci", env)
    assert made.build(*BOTH, "-o", made.index) == f"oci:{made.index}:latest"
    return made


def chosen(layout: Path, scratch: Path, architecture: str) -> Path:
    """What skopeo takes of an index for an architecture, unpacked."""
    require("skopeo", "umoci")
    one, bundle = scratch / "one.oci", scratch / "bundle"
    copy = ("skopeo", "--insecure-policy", "--override-arch", architecture, "copy", "--quiet")
    output(*copy, f"oci:{layout}:latest", f"oci:{one}:latest")
    output("umoci", "unpack", "--rootless", "--image", f"{one}:latest", bundle)
    (entry,) = json.loads((one / "index.json").read_text())["manifests"]
    config = read_blob(one, read_blob(one, entry)["config"])
    assert config["architecture"] == architecture
    return bundle / "rootfs"


@pytest.mark.parametrize(("machine", "architecture"), MACHINES.items())
def test_skopeo_chooses_and_the_programs_are_for_it(
    sample: Sample, tmp_path: Path, machine: str, architecture: str
) -> None:
    rootfs = chosen(sample.index, tmp_path, architecture)
    (program,) = rootfs.glob("nix/store/*-hello-1.0/bin/.hello-wrapped")
    launcher = program.with_name("hello")
    word = {"x86_64": "x86-64", "aarch64": "ARM aarch64"}[machine]
    for file in (program, launcher):
        assert f"ELF 64-bit LSB executable, {word}" in output("file", "--brief", file)
    assert not list(rootfs.glob("nix/store/*-bash-5.2"))
    emulator = () if machine == HERE else (f"qemu-{machine}-static",)
    require(*emulator)
    done = subprocess.run(
        (*emulator, program),
        env={"GREETING": "hello"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"hello from {machine}\n"


def test_podman_takes_its_own_of_an_archive(
    sample: Sample, podman_engine: ClientEngine, tmp_path: Path
) -> None:
    archive = tmp_path / "both.tar"
    sample.build(*BOTH, "-o", archive, "--tag", "team/both:1")
    done = podman_engine.run(Job(podman_engine.load(archive)))
    assert (done.returncode, done.stdout) == (0, f"hello from {HERE}\n"), done.stderr


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_an_engine_is_given_its_own(
    request: pytest.FixtureRequest, sample: Sample, tmp_path: Path, name: str
) -> None:
    engine: ClientEngine = request.getfixturevalue(f"{name}_engine")
    env = with_shims(shims(tmp_path / "bin", [engine], None))
    printed = sample.build(*BOTH, "--load", name, "--tag", "team/two:1", env=env)
    done = engine.run(Job(printed))
    assert (done.returncode, done.stdout) == (0, f"hello from {HERE}\n"), done.stderr


def test_images_that_were_built_apart_are_joined_to_the_same_index(
    sample: Sample, tmp_path: Path
) -> None:
    sample.build("--platform", "linux/amd64", "-o", tmp_path / "a.tar")
    sample.build("--platform", "linux/arm64", "-o", tmp_path / "b.oci")
    nix2oci("index", tmp_path / "b.oci", tmp_path / "a.tar", "-o", tmp_path / "joined", "-q")
    assert (tmp_path / "joined/index.json").read_bytes() == (
        sample.index / "index.json"
    ).read_bytes()
    assert nix2oci("validate", tmp_path / "joined").endswith("valid: 0 errors, 0 warnings")


def test_a_registry_has_the_same_index(sample: Sample, tmp_path: Path) -> None:
    require("skopeo", "docker-registry")
    (entry,) = json.loads((sample.index / "index.json").read_text())["manifests"]
    with registry(tmp_path) as host:
        there = f"docker://{host}/team/both:1"
        copy = ("skopeo", "--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests")
        output(*copy, "--dest-tls-verify=false", f"oci:{sample.index}:latest", there)
        raw = output("skopeo", "inspect", "--tls-verify=false", "--raw", there)
    assert f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}" == entry["digest"]


def test_the_debug_twin_is_for_both_platforms_as_well(sample: Sample, tmp_path: Path) -> None:
    tools = f"path:{sample.flake}#bash"
    layout = tmp_path / "both.oci"
    sample.build(*BOTH, "-o", layout, "--debug", "--debug-tools", tools)
    twin, _ = json.loads((layout / "index.json").read_text())["manifests"][::-1]
    assert twin["annotations"]["org.opencontainers.image.ref.name"] == "latest-debug"
    platforms = [
        entry["platform"]["architecture"] for entry in read_blob(layout, twin)["manifests"]
    ]
    assert platforms == ["amd64", "arm64"]


def test_a_program_for_another_machine_is_refused(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as caught:
        nix2oci(
            *("build", f"path:{sample.flake}#wrong", *BOTH, "-o", tmp_path / "x"),
            env={**os.environ, **sample.env},  # noqa: TID251
        )
    assert "exit 5\n" in str(caught.value)
    assert "error: cannot make an image for linux/arm64: /nix/store/" in str(caught.value)
    assert "-wrong-1.0/bin/wrong is for x86_64\n" in str(caught.value)
    assert not (tmp_path / "x").exists()


def test_a_cross_compiled_program_needs_no_builder(sample: Sample, tmp_path: Path) -> None:
    layout = tmp_path / "cross.oci"
    package = f"path:{sample.flake}#packages.{HERE}-linux.cross"
    nix2oci("build", package, "--platform", "linux/arm64", "-o", layout)
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    assert entry["platform"] == {"architecture": "arm64", "os": "linux"}


def test_without_a_builder_nix_says_so(sample: Sample, tmp_path: Path) -> None:
    """No machine is taken for one that it is not: that would fail in the builder's first line."""
    foreign = next(machine for machine in MACHINES if machine != HERE)
    text = (sample.flake / "flake.nix").read_text().replace("hello-1.0", "other-1.0")
    other = tmp_path / "flake"
    other.mkdir()
    for machine in MACHINES:
        (other / f"hello-{machine}").write_bytes((sample.flake / f"hello-{machine}").read_bytes())
    (other / "flake.nix").write_text(text)
    with pytest.raises(AssertionError) as caught:
        nix2oci("build", f"path:{other}#hello", *BOTH, "-o", tmp_path / "x")
    assert "exit 3\n" in str(caught.value)
    assert f"{foreign}-linux" in str(caught.value)
    assert "or give Nix a remote builder or binfmt emulation" in str(caught.value)
