"""An image with two tags: engines, loaders and registries have it under both."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from real.containerd import containerd
from real.engines import ClientEngine, Job, output
from real.images import NIX2OCI, Images, Layout, nix2oci
from real.registries import serving
from real.shims import shims, with_shims
from support.tools import require

BUILD = ("--tag", "team/sed:1.10", "--tag", "latest", "--entrypoint", "sed")
SCRIPT = ("--quiet", "--expression", "1p", "/etc/passwd")


@pytest.fixture(scope="module")
def env(
    scratch: Path, docker_engine: ClientEngine, podman_engine: ClientEngine
) -> Mapping[str, str]:
    """The environment of a user who has both engines."""
    return with_shims(shims(scratch / "two-names", (docker_engine, podman_engine), None))


@pytest.fixture(scope="module")
def layout(images: Images) -> Layout:
    """The same image with one tag."""
    made = Layout(images.directory / "one-name.oci")
    nix2oci("build", *images.installables("sed"), "--tag", "1", *BUILD[-2:], "-o", made.path)
    return made


@pytest.fixture(scope="module")
def both(images: Images) -> Path:
    path = images.directory / "two-names.oci"
    printed = nix2oci("build", *images.installables("sed"), *BUILD, "-o", path)
    assert printed.split() == [f"oci:{path}:1.10", f"oci:{path}:latest"]
    return path


@pytest.fixture(scope="module")
def archive(images: Images) -> Path:
    path = images.directory / "two-names.tar"
    nix2oci("build", *images.installables("sed"), *BUILD, "-o", path)
    return path


def ids(engine: ClientEngine, *names: str) -> set[str]:
    """What the engine has under these names."""
    inspect = (*engine.client, "image", "inspect", "--format", "{{.Id}}")
    return {output(*inspect, name).strip().removeprefix("sha256:") for name in names}


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_what_was_loaded_runs_by_both_names(
    request: pytest.FixtureRequest,
    images: Images,
    env: Mapping[str, str],
    layout: Layout,
    name: str,
) -> None:
    engine: ClientEngine = request.getfixturevalue(f"{name}_engine")
    printed = nix2oci("build", *images.installables("sed"), *BUILD, "--load", name, env=env)
    names, before = printed.split(), {"docker": "", "podman": "localhost/"}[name]
    assert names == [f"{before}team/sed:1.10", f"{before}team/sed:latest"]
    config = layout.manifest["config"]["digest"].removeprefix("sha256:")
    assert ids(engine, *names) == {config}
    for each in names:
        assert engine.run(Job(each, SCRIPT)).stdout.startswith("root:x:0:0:")


def test_containerd_has_both_names(
    images: Images, scratch: Path, layout: Layout, tmp_path: Path
) -> None:
    state = scratch / "ctr2"
    state.mkdir()
    with containerd(state) as address:
        path = with_shims(shims(tmp_path / "bin", (), address))
        printed = nix2oci(
            *("build", *images.installables("sed"), *BUILD, "--load", "containerd"), env=path
        )
        names = ["docker.io/team/sed:1.10", "docker.io/team/sed:latest"]
        assert printed.split() == names
        for each in names:
            listed = output("ctr", "--address", address, "images", "list", f"name=={each}")
            assert layout.descriptor["digest"] in listed


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_an_archive_brings_both_names(
    request: pytest.FixtureRequest, archive: Path, layout: Layout, name: str
) -> None:
    engine: ClientEngine = request.getfixturevalue(f"{name}_engine")
    said = output(*engine.client, "load", "--input", archive)
    for tag in ("1.10", "latest"):
        assert f"team/sed:{tag}\n" in said
    names = ("docker.io/team/sed:1.10", "docker.io/team/sed:latest")
    config = layout.manifest["config"]["digest"].removeprefix("sha256:")
    assert ids(engine, *names) == {config}


@pytest.mark.parametrize("tag", ["1.10", "latest"])
def test_skopeo_reads_each_tag_of_a_layout_and_an_archive(
    both: Path, archive: Path, layout: Layout, tag: str, tmp_path: Path
) -> None:
    require("skopeo")
    copy = ("skopeo", "copy", "--insecure-policy", "--quiet", "--preserve-digests")
    for number, source in enumerate((f"oci:{both}:{tag}", f"oci-archive:{archive}:{tag}")):
        there = Layout(tmp_path / str(number))
        output(*copy, source, f"oci:{there.path}:x")
        assert there.descriptor["digest"] == layout.descriptor["digest"]


def test_a_registry_gets_each_blob_once_and_has_every_reference(
    images: Images, both: Path, layout: Layout, tmp_path: Path
) -> None:
    require("skopeo")
    digest = layout.descriptor["digest"]
    blobs = len(layout.layers) + 1
    with serving(tmp_path / "one") as one, serving(tmp_path / "two") as two:
        first, second = f"{one.host}/team/sed", f"{two.host}/team/sed"
        places = ("--push", first, "--push", f"{second}:x", "--push", f"{one.host}/copy:y")
        argv = (NIX2OCI, "build", *images.installables("sed"), *BUILD, *places, "--json")
        environ = {**os.environ, "HOME": str(tmp_path)}  # noqa: TID251
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        names = [f"{first}:1.10", f"{first}:latest", f"{second}:x", f"{one.host}/copy:y"]
        assert document["references"] == [f"{name}@{digest}" for name in names]
        assert (len(one.puts()), len(two.puts())) == (blobs, blobs)
        outcomes = [each["outcome"] for each in document["pushed"]["blobs"]]
        assert outcomes == ["sent"] * blobs * 2 + ["mounted"] * blobs
        for name in names:
            inspect = ("skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}")
            assert output(*inspect, f"docker://{name}").strip() == digest
        pushed = nix2oci("push", f"{both}:1.10", f"{first}:a", f"{second}:b")
        assert pushed.split() == [f"{first}:a@{digest}", f"{second}:b@{digest}"]
        assert (len(one.puts()), len(two.puts())) == (blobs, blobs)
