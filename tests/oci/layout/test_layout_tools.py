"""What we write, read by the tools that others use."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from support.smallimage import STORE_PATH
from support.tools import require
from support.writes import digest_at, write

from nix2oci.oci.layout.writer import OutputFormat, reference_to
from nix2oci.oci.reference import Reference

pytestmark = pytest.mark.real


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_skopeo_reads_layout_and_archive_by_tag(tmp_path: Path) -> None:
    require("skopeo")
    image = write(tmp_path / "layout")
    write(tmp_path / "archive", "archive")
    names: dict[OutputFormat, str] = {"oci": "layout", "archive": "archive"}
    for form, name in names.items():
        reference = reference_to(str(tmp_path / name), form, Reference.parse("app:1.0"))
        there = tmp_path / f"{name}-copy"
        run(
            "skopeo", "copy", "--insecure-policy", "--preserve-digests", reference, f"oci:{there}:x"
        )
        assert digest_at(there, "x") == image.descriptor.digest
    described = json.loads(
        run("skopeo", "inspect", "--config", f"docker-archive:{tmp_path}/archive")
    )
    assert described["rootfs"] == json.loads(image.config)["rootfs"]


def test_skopeo_may_write_into_our_layout_and_we_into_its(tmp_path: Path) -> None:
    require("skopeo")
    image = write(tmp_path / "ours", name="app:1.0")
    copy = ("skopeo", "copy", "--insecure-policy", "--preserve-digests")
    run(*copy, f"oci:{tmp_path}/ours:1.0", f"oci:{tmp_path}/theirs:theirs")
    write(tmp_path / "theirs", name="app:1.0")
    run(*copy, f"oci:{tmp_path}/theirs:1.0", f"oci:{tmp_path}/ours:theirs")
    for path in (tmp_path / "ours", tmp_path / "theirs"):
        for tag in ("1.0", "theirs"):
            assert digest_at(path, tag) == image.descriptor.digest


def test_umoci_unpacks_a_layout(tmp_path: Path) -> None:
    require("umoci")
    write(tmp_path / "layout")
    run("umoci", "unpack", "--rootless", "--image", f"{tmp_path}/layout:1.0", tmp_path / "bundle")
    root = tmp_path / "bundle/rootfs"
    assert (root / "text").read_text() == "one"
    assert os.readlink(root / "bin/app") == STORE_PATH + "/bin/app"
    run("chmod", "-R", "u+w", root)


@pytest.mark.parametrize(
    ("name", "loaded"),
    [
        pytest.param("app:1.0", "docker.io/library/app:1.0", id="a bare name"),
        pytest.param("example.com:5000/a/b:1.0", "example.com:5000/a/b:1.0", id="a registry"),
    ],
)
def test_podman_loads_an_archive_under_its_name(tmp_path: Path, name: str, loaded: str) -> None:
    require("podman")
    image = write(tmp_path / "archive", "archive", name)
    # podman refuses a runroot whose path is longer than 50 characters.
    with tempfile.TemporaryDirectory(prefix="podman-") as short:
        podman = ("podman", f"--root={tmp_path}/root", f"--runroot={short}", "--storage-driver=vfs")
        output = run(*podman, "load", "--quiet", "--input", tmp_path / "archive")
        assert output.strip() == f"Loaded image: {loaded}"
        found = run(*podman, "image", "inspect", "--format={{.Id}}", loaded)
        assert found.strip() == image.id.hex
        reference = f"oci-archive:{tmp_path}/archive:1.0"
        assert run(*podman, "pull", "--quiet", reference).strip() == image.id.hex
