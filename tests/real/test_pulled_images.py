"""`nix2oci pull` out of a real registry, and what other tools read of the file."""

import json
from pathlib import Path

import pytest
from real.engines import output
from real.images import nix2oci
from real.registries import serving
from support.smallimage import SmallImage, write_index
from support.tools import require


def skopeo(*args: str | Path) -> str:
    return output("skopeo", *args)


def blobs(layout: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (layout / "blobs/sha256").iterdir()}


@pytest.mark.parametrize("kind", ["image", "index"])
def test_what_is_pulled_is_what_skopeo_copies(kind: str, tmp_path: Path) -> None:
    require("skopeo", "docker-registry")
    made = write_index(tmp_path) if kind == "index" else SmallImage().write(tmp_path / "image")
    with serving(tmp_path / "state") as registry:
        name = f"{registry.host}/team/app"
        pushed = nix2oci("push", "-q", made, f"{name}:1.0").strip()
        options = ("--src-tls-verify=false", "--all")
        skopeo("copy", *options, f"docker://{name}:1.0", f"oci:{tmp_path}/theirs:1.0")
        nix2oci("pull", "-q", pushed, "-o", tmp_path / "ours")
        nix2oci("pull", "-q", f"{name}:1.0", "-o", tmp_path / "ours.tar")
    assert blobs(tmp_path / "ours") == blobs(tmp_path / "theirs")
    (entry,) = json.loads((tmp_path / "ours/index.json").read_text())["manifests"]
    assert pushed == f"{name}@{entry['digest']}"
    for there in (f"oci:{tmp_path}/ours", f"oci-archive:{tmp_path}/ours.tar:1.0"):
        raw = json.loads(skopeo("inspect", "--raw", there))
        assert ("manifests" in raw) == (kind == "index")


def test_an_archive_loads_under_its_tag(tmp_path: Path) -> None:
    require("skopeo", "docker-registry")
    with serving(tmp_path / "state") as registry:
        name = f"{registry.host}/team/app:1.0"
        nix2oci("push", "-q", SmallImage().write(tmp_path / "image"), name)
        nix2oci("pull", "-q", name, "-o", tmp_path / "x.tar")
    archive = f"docker-archive:{tmp_path}/x.tar"
    assert json.loads(skopeo("list-tags", archive))["Tags"] == [name]
    assert json.loads(skopeo("inspect", "--config", archive))["architecture"] == "amd64"
