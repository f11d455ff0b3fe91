"""What is no image but stands beside one: it is checked, joined and pushed along."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fakeregistry import FakeRegistry, answer
from support.fakeserver import running
from support.pushing import REPOSITORY, Desk
from support.smallimage import SmallImage, digest_of, write_index

from nix2oci.oci.artifacts import is_artifact
from nix2oci.oci.index import images_at, index_of
from nix2oci.oci.layout.source import open_image, open_layout
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.pull import open_remote
from nix2oci.oci.registry.push_set import read_push_set
from nix2oci.oci.validate.check_image import validate_layout

OCI = "application/vnd.oci.image."
EMPTY = b"{}"
Json = dict[str, Any]


def blob(root: Path, data: bytes, media_type: str) -> Json:
    (root / "blobs/sha256" / digest_of(data)[7:]).write_bytes(data)
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def document(root: Path, content: Json, media_type: str) -> Json:
    return blob(root, json.dumps(content).encode(), media_type)


def statement(root: Path, config: Json, **more: Any) -> Json:
    """A manifest about something, with a statement in place of layers."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI + "manifest.v1+json",
        "config": config,
        "layers": [blob(root, b"it is good", "application/vnd.in-toto+json")],
        **more,
    }
    return document(root, manifest, OCI + "manifest.v1+json")


def empty_config(root: Path) -> Json:
    return blob(root, EMPTY, "application/vnd.oci.empty.v1+json")


def image_config(root: Path) -> Json:
    """As buildx and cosign write it for what is no image."""
    config = {"architecture": "unknown", "os": "unknown", "config": {}, "rootfs": {}}
    return document(root, config, OCI + "config.v1+json")


def entries(root: Path) -> list[Json]:
    found: list[Json] = json.loads((root / "index.json").read_text())["manifests"]
    return found


def list_in(root: Path, found: list[Json]) -> None:
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": found}))


def attested(directory: Path, make: Callable[[Path], Json] = image_config) -> Path:
    """An image and its attestation in an index, as buildx makes it."""
    root = SmallImage().write(directory)
    (image,) = entries(root)
    del image["annotations"]
    attestation = statement(root, make(root)) | {
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": image["digest"],
        },
    }
    index = {"schemaVersion": 2, "manifests": [image, attestation]}
    listed = document(root, index, OCI + "index.v1+json")
    list_in(root, [listed | {"annotations": {"org.opencontainers.image.ref.name": "1.0"}}])
    return root


def signed(directory: Path) -> Path:
    """An image with what refers to it, and what refers to that."""
    root = SmallImage().write(directory)
    (image,) = entries(root)
    subject = {key: image[key] for key in ("mediaType", "digest", "size")}
    kind = {"artifactType": "application/spdx+json"}
    bill = statement(root, empty_config(root), subject=subject, **kind)
    signature = statement(root, empty_config(root), subject=bill, artifactType="application/x-sig")
    list_in(root, [image, bill, signature])
    return root


@pytest.mark.parametrize("config", [image_config, empty_config])
def test_an_attestation_is_valid(tmp_path: Path, config: Callable[[Path], Json]) -> None:
    assert validate_layout(str(attested(tmp_path / "a", config))) == ()


def test_what_refers_to_an_image_is_valid(tmp_path: Path) -> None:
    assert validate_layout(str(signed(tmp_path / "a"))) == ()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        pytest.param(lambda path: path.unlink(), "blob-missing", id="a blob that is missing"),
        pytest.param(lambda path: path.write_bytes(b"it is  bad"), "blob-digest", id="another one"),
        pytest.param(lambda path: path.write_bytes(b"good"), "blob-size", id="a shorter one"),
    ],
)
def test_an_attestation_is_checked_against_its_digests(
    tmp_path: Path, spoil: Callable[[Path], object], code: str
) -> None:
    root = attested(tmp_path / "a")
    spoil(root / "blobs/sha256" / digest_of(b"it is good")[7:])
    assert code in {finding.code for finding in validate_layout(str(root))}


def test_an_image_is_no_artifact(tmp_path: Path) -> None:
    assert not is_artifact(open_image(str(SmallImage().write(tmp_path / "a"))))


def test_an_image_whose_layer_has_no_known_type_is_an_image_with_a_fault(tmp_path: Path) -> None:
    def lie(manifest: Json) -> None:
        for layer in manifest["layers"]:
            layer["mediaType"] = "application/x"

    root = SmallImage(manifest=lie).write(tmp_path / "a")
    assert {found.code for found in validate_layout(str(root))} >= {"media-type"}


def test_an_index_keeps_attestations_with_what_they_are_about(tmp_path: Path) -> None:
    found = images_at(str(attested(tmp_path / "a")))
    (other,) = found.artifacts
    index = index_of(found.images, found.artifacts)
    assert [str(each.platform) for each in index.manifests] == ["linux/amd64", "unknown/unknown"]
    assert index.manifests[1].annotations == other.descriptor.annotations


def test_an_index_has_what_refers_to_its_images(tmp_path: Path) -> None:
    found = images_at(str(signed(tmp_path / "a")))
    assert len(found.images) == 1
    assert [found.artifacts, len(found.referrers)] == [(), 2]


def test_a_push_takes_along_what_refers_to_the_image(desk: Desk, tmp_path: Path) -> None:
    """The tag is put last, and the lists of referrers are kept where the registry keeps none."""
    desk.layout = open_layout(str(signed(tmp_path / "a")))[0]
    desk.push()
    assert desk.is_complete()
    about = desk.cargo.referrers
    assert [(REPOSITORY, str(each.descriptor.digest)) in desk.registry.manifests for each in about]
    lists = {name for name in desk.registry.tags() if name.startswith("sha256-")}
    assert lists == {str(each.subject.digest).replace(":", "-") for each in about if each.subject}
    puts = [s.path for s in desk.registry.seen if s.method == "PUT" and "/manifests/" in s.path]
    assert puts[-1].endswith("/1.0")


def test_without_a_tag_the_image_is_meant_and_not_what_refers_to_it(tmp_path: Path) -> None:
    layout, tag = open_layout(str(signed(tmp_path / "a")))
    assert tag is None
    assert len(read_push_set(layout).documents) == 1
    assert layout.image().layers()


@pytest.mark.parametrize("lists", [True, False])
def test_what_refers_to_an_image_comes_along_from_a_registry(
    tmp_path: Path,
    lists: bool,  # noqa: FBT001
) -> None:
    with running(FakeRegistry()) as registry:
        desk = Desk.make(tmp_path / "other", registry)
        desk.layout = open_layout(str(signed(tmp_path / "a")))[0]
        desk.push()
        if lists:
            tags = {name: data for (_, name), (_, data) in registry.manifests.items()}
            for name, data in tags.items():
                if name.startswith("sha256-"):
                    registry.script(
                        "GET", f"/referrers/{name.replace('-', ':')}", answer(200, data)
                    )
        layout = open_remote(desk.reference(), Clients(desk.access()))
        found = images_at(str(desk.reference()), layout)
        assert len(found.referrers) == 2
        assert [each.manifest().artifact_type for each in found.referrers] == [
            "application/spdx+json",
            "application/x-sig",
        ]


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        pytest.param("v8", None, id="only the index names it"),
        pytest.param(None, "v8", id="only the configuration names it"),
        pytest.param("v8", "v8", id="both name it"),
    ],
)
def test_a_variant_that_one_side_names_is_no_contradiction(
    tmp_path: Path, listed: str | None, found: str | None
) -> None:
    def configure(config: Json) -> None:
        config["architecture"] = "arm64"
        config |= {"variant": found} if found else {}

    def describe(index: Json) -> None:
        platform = {"os": "linux", "architecture": "arm64"}
        index["manifests"][0]["platform"] = platform | ({"variant": listed} if listed else {})

    root = SmallImage(config=configure, index=describe).write(tmp_path / "a")
    assert "platform" not in {finding.code for finding in validate_layout(str(root))}


def test_the_first_of_several_images_for_a_platform_is_taken(tmp_path: Path) -> None:
    """`podman manifest push --add-compression` lists the one that everyone reads first."""
    root = write_index(tmp_path)
    index = json.loads((root / "index.json").read_text())["manifests"][0]
    path = root / "blobs/sha256" / index["digest"][7:]
    content = json.loads(path.read_text())
    for entry in content["manifests"]:
        entry["platform"] = {"os": "linux", "architecture": "amd64"}
    listed = document(root, content, index["mediaType"])
    list_in(root, [listed])
    source = open_image(str(root))
    assert str(source.descriptor.digest) == content["manifests"][0]["digest"]
    shutil.rmtree(root)
