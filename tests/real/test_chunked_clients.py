"""Clients that know nothing of zstd:chunked read such an image from a registry as plain zstd."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from real.containerd import containerd
from real.docker_registry import registry
from real.engines import ClientEngine, Job, output
from real.images import Images, Layout, nix2oci
from support.tools import require

from nix2oci.oci.validate.check_image import validate_layout

SED = ("--quiet", "--expression", "1p", "/etc/passwd")
FIRST = "root:x:0:0:"


@pytest.fixture(scope="module")
def layout(images: Images) -> Layout:
    require("nix")
    made = Layout(images.directory / "chunked-sed.oci")
    argv = ("build", *images.installables("sed"), "--entrypoint", "sed")
    nix2oci(*argv, "--compression", "zstd:chunked", "-o", made.path)
    return made


@pytest.fixture(scope="module")
def pushed(layout: Layout, scratch: Path) -> Iterator[str]:
    (state := scratch / "chunked-registry").mkdir()
    with registry(state) as host:
        nix2oci("push", "-q", layout.path, f"{host}/team/sed:1")
        yield f"{host}/team/sed:1"


def test_the_blobs_decompress_to_the_layers(layout: Layout) -> None:
    require("zstd")
    for layer, diff_id in zip(layout.layers, layout.config["rootfs"]["diff_ids"], strict=True):
        done = subprocess.run(
            ("zstd", "-dc", layout.blob(layer)), capture_output=True, check=True, timeout=60
        )
        assert diff_id == "sha256:" + hashlib.sha256(done.stdout).hexdigest()
    assert [f for f in validate_layout(str(layout.path)) if f.level == "error"] == []


def test_skopeo_copies_it_as_it_is_and_decompresses_it(pushed: str, layout: Layout) -> None:
    require("skopeo")
    copy = ("skopeo", "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false")
    there, plain = layout.path.parent / "copied", layout.path.parent / "plain"
    output(*copy, f"docker://{pushed}", f"dir:{there}")
    assert json.loads((there / "manifest.json").read_text()) == layout.manifest
    output(*copy, "--dest-decompress", f"docker://{pushed}", f"dir:{plain}")
    diff_ids = {each.partition(":")[2] for each in layout.config["rootfs"]["diff_ids"]}
    assert diff_ids <= {path.name for path in plain.iterdir()}


def test_podman_runs_it_and_its_store_paths_are_those_of_nix(
    pushed: str, podman_engine: ClientEngine, layout: Layout
) -> None:
    client = podman_engine.client
    output(*client, "pull", "--quiet", "--tls-verify=false", pushed)
    done = podman_engine.run(Job(pushed, SED))
    assert (done.returncode, done.stdout[: len(FIRST)]) == (0, FIRST), done.stderr
    root = output(*client, "image", "mount", pushed).strip()
    try:
        paths = sorted(Path(root, "nix/store").iterdir())
        for path in paths:
            found = output("nix-hash", "--type", "sha256", "--base32", path).strip()
            assert found == output("nix-store", "--query", "--hash", path_of(path))[7:].strip()
    finally:
        output(*client, "image", "unmount", pushed)
    assert len(paths) > 2
    assert any(path.name in layout.config["config"]["Entrypoint"][0] for path in paths)


def path_of(path: Path) -> str:
    return f"/nix/store/{path.name}"


def test_containerd_runs_it(pushed: str, layout: Layout, scratch: Path) -> None:
    require("ctr", "runc")
    (state := scratch / "chunked-containerd").mkdir()
    (program,) = layout.config["config"]["Entrypoint"]
    with containerd(state) as address:
        client = ("ctr", "--address", address)
        output(*client, "images", "pull", "--plain-http", pushed)
        done = output(*client, "run", "--rm", pushed, "nix2oci-chunked", program, *SED)
    assert done.startswith(FIRST)
