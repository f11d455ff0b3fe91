"""Which image is meant, and reading what others wrote."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.smallimage import (
    STORE_LAYER,
    VIEW_LAYER,
    Json,
    SmallImage,
    digest_of,
    entry,
    packed,
    tar,
)
from support.spoiled import setting
from support.writes import write

from nix2oci.errors import ConfigError, LayoutError, OutputError
from nix2oci.oci.layout.source import open_image
from nix2oci.oci.spec import Digest, Platform
from nix2oci.oci.validate.check_image import validate_layout

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a layout of two images and an archive of one."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "two", name="app:1.0", text="one")
    write(tmp_path / "two", name="app:latest", text="two")
    write(tmp_path / "app.tar", "archive", "app:1.0", "one")
    write(tmp_path / "with:colon", name="app:1.0", text="one")
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "two:1.0",
        "oci:two:1.0",
        "./two:1.0",
        "app.tar",
        "app.tar:1.0",
        "oci-archive:app.tar",
        "oci-archive:app.tar:1.0",
        "docker-archive:app.tar",
        "with:colon",
        "with:colon:1.0",
        "oci:with:colon:1.0",
    ],
)
@pytest.mark.usefixtures("home")
def test_an_image_is_found_by_each_of_its_names(text: str) -> None:
    expected = write(Path("expected"), name="app:1.0", text="one")
    source = open_image(text)
    assert source.where == text
    assert source.descriptor.digest == expected.descriptor.digest
    assert source.read(source.descriptor.digest) == expected.manifest
    assert source.config_descriptor().digest == expected.id


@pytest.mark.parametrize(
    ("text", "error", "message", "hint"),
    [
        pytest.param(
            "two",
            ConfigError,
            "cannot read image at two: 2 of its 2 images are for linux/amd64",
            "name one of its tags after a colon: 1.0, latest",
            id="two tags and none named",
        ),
        pytest.param(
            "two:2.0",
            ConfigError,
            "cannot read image at two:2.0: it has no tag '2.0'",
            "name one of its tags after a colon: 1.0, latest",
            id="a tag that is not there",
        ),
        pytest.param(
            "nothing:1.0",
            OutputError,
            "cannot read image at nothing:1.0: No such file or directory",
            None,
            id="no such file",
        ),
        pytest.param(
            "empty",
            LayoutError,
            "cannot read image at empty: the directory is not an image layout",
            "if it is to be built first: nix2oci plan empty shows what would be in its image",
            id="an empty directory",
        ),
        pytest.param(
            "text",
            LayoutError,
            "cannot read text: it is not a tar archive, it is ASCII text",
            None,
            id="a file that is no tar",
        ),
        pytest.param(
            "other.tar",
            LayoutError,
            "cannot read image at other.tar: the tar holds no image",
            None,
            id="a tar without an image",
        ),
        pytest.param(
            "unfinished",
            OutputError,
            "cannot read image at unfinished: No such file or directory",
            None,
            id="a layout without an index",
        ),
        pytest.param(
            "none",
            LayoutError,
            "cannot read image at none: it holds no image",
            None,
            id="an index that lists nothing",
        ),
        pytest.param(
            "listless",
            LayoutError,
            "cannot read image at listless: index.json lists no manifests",
            None,
            id="an index without a list",
        ),
    ],
)
@pytest.mark.usefixtures("home")
def test_what_is_no_image_is_an_error(
    text: str, error: type[ConfigError | OutputError], message: str, hint: str | None
) -> None:
    Path("empty").mkdir()
    Path("text").write_text("text")
    Path("other.tar").write_bytes(tar(entry("photo.jpg")))
    Path("unfinished").mkdir()
    Path("unfinished/oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    strange: dict[str, Json] = {"none": {"manifests": []}, "listless": {}}
    for name, index in strange.items():
        Path(name).mkdir()
        Path(name, "index.json").write_text(json.dumps(index))
    with pytest.raises(error) as raised:
        open_image(text)
    assert (str(raised.value), raised.value.hint) == (message, hint)


@pytest.mark.usefixtures("home")
def test_a_missing_blob_is_named() -> None:
    source = open_image("app.tar")
    digest = Digest.of(b"nothing")
    assert source.blobs.size(digest) is None
    with pytest.raises(OutputError) as raised:
        source.blobs.open(digest)
    assert str(raised.value) == f"cannot read blob {digest} of app.tar: No such file or directory"


@pytest.mark.usefixtures("home")
def test_a_blob_of_an_archive_ends_where_it_ends() -> None:
    source = open_image("app.tar")
    for layer in source.layers():
        with source.blobs.open(layer.digest) as file:
            assert len(file.read(5)) == 5
            assert len(file.read()) == layer.size - 5
            assert file.read(1) == b""


def several_platforms(root: Path, *architectures: str) -> Path:
    """A layout whose tag leads to an index of one image for each architecture."""
    entries = []
    for architecture in architectures:
        SmallImage(
            config=setting("architecture", to=architecture),
            index=setting("manifests", 0, "platform", "architecture", to=architecture),
        ).write(root / architecture)
        (one,) = json.loads((root / architecture / "index.json").read_text())["manifests"]
        entries.append({**one, "annotations": {}})
        os.makedirs(root / "all/blobs/sha256", exist_ok=True)
        for blob in (root / architecture / "blobs/sha256").iterdir():
            (root / "all/blobs/sha256" / blob.name).write_bytes(blob.read_bytes())
    (root / "all/oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    nested = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    digest = digest_of(nested)
    (root / "all/blobs/sha256" / digest[7:]).write_bytes(nested)
    top = {
        "mediaType": INDEX,
        "digest": digest,
        "size": len(nested),
        "annotations": {"org.opencontainers.image.ref.name": "1.0"},
    }
    (root / "all/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    return root / "all"


def test_of_several_platforms_the_asked_one_is_taken(tmp_path: Path) -> None:
    path = several_platforms(tmp_path, "amd64", "arm64", "s390x")
    assert validate_layout(str(path), 1) == ()
    for architecture in ("amd64", "arm64", "s390x"):
        source = open_image(f"{path}:1.0", Platform(architecture))
        assert source.config().platform.architecture == architecture


def test_of_several_platforms_this_machines_is_the_default(tmp_path: Path) -> None:
    here = Platform.of_system(f"{os.uname().machine}-linux").architecture
    path = several_platforms(tmp_path, "mips", here)
    assert open_image(f"{path}:1.0").config().platform.architecture == here


def test_a_platform_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    path = several_platforms(tmp_path, "amd64", "arm64")
    with pytest.raises(ConfigError) as raised:
        open_image(str(path), Platform("riscv64"))
    assert str(raised.value) == (
        f"cannot read image at {path}: 0 of its 2 images are for linux/riscv64"
    )
    assert raised.value.hint == "it has linux/amd64, linux/arm64"


def test_a_variant_that_nobody_asked_for_is_taken(tmp_path: Path) -> None:
    path = several_platforms(tmp_path, "amd64", "arm64")
    entries = [
        *json.loads((tmp_path / "amd64/index.json").read_text())["manifests"],
        *json.loads((tmp_path / "arm64/index.json").read_text())["manifests"],
    ]
    entries[1]["platform"]["variant"] = "v8"
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    assert str(open_image(str(path), Platform("arm64")).descriptor.platform) == "linux/arm64/v8"


def without_platforms(path: Path, *architectures: str) -> Path:
    """The same images, listed by an index that does not say what they are for."""
    entries = [
        json.loads((path / architecture / "index.json").read_text())["manifests"][0]
        for architecture in architectures
    ]
    plain = [{key: each[key] for key in ("mediaType", "digest", "size")} for each in entries]
    (path / "all/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": plain}))
    return path / "all"


def test_where_an_index_names_no_platform_the_configurations_do(tmp_path: Path) -> None:
    several_platforms(tmp_path, "amd64", "arm64")
    path = without_platforms(tmp_path, "amd64", "arm64")
    for architecture in ("amd64", "arm64"):
        source = open_image(str(path), Platform(architecture))
        assert source.config().platform.architecture == architecture
    with pytest.raises(ConfigError) as raised:
        open_image(str(path), Platform("riscv64"))
    assert raised.value.hint == "it has linux/amd64, linux/arm64"


def test_where_these_do_not_either_the_hint_says_so(tmp_path: Path) -> None:
    several_platforms(tmp_path, "amd64", "arm64")
    path = without_platforms(tmp_path, "amd64", "arm64")
    entries = json.loads((path / "index.json").read_text())["manifests"]
    for each in entries:
        each["mediaType"] = "application/vnd.oci.image.config.v1+json"
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    with pytest.raises(ConfigError) as raised:
        open_image(str(path), Platform("riscv64"))
    assert raised.value.hint == "none of them says what it is for"


def test_what_is_wrong_in_one_platform_is_found(tmp_path: Path) -> None:
    path = several_platforms(tmp_path, "amd64", "arm64")
    image = open_image(str(path), Platform("arm64"))
    (path / "blobs/sha256" / image.layers()[1].digest.hex).unlink()
    message = f"layer 2: there is no blob {image.layers()[1].digest} [blob-missing]"
    assert [str(found) for found in validate_layout(str(path), 1)] == [
        f"error: linux/{architecture}: {message}" for architecture in ("amd64", "arm64")
    ]


def docker_save(path: Path, files: Mapping[str, bytes | str], manifest: Any) -> Path:
    """A tar as `docker save` wrote it before version 25; text is the target of a link."""
    with tarfile.open(path, "w") as out:
        for name, data in {**files, "manifest.json": json.dumps(manifest).encode()}.items():
            info = tarfile.TarInfo(name)
            if isinstance(data, str):
                info.type, info.linkname = tarfile.SYMTYPE, data
                out.addfile(info)
            else:
                info.size = len(data)
                out.addfile(info, io.BytesIO(data))
    return path


def config_of(*layers: bytes) -> Json:
    return {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
    }


def test_an_old_archive_of_docker_is_read(tmp_path: Path) -> None:
    layers = (STORE_LAYER.plain, VIEW_LAYER.plain, STORE_LAYER.plain)
    files: dict[str, bytes | str] = {
        "c.json": json.dumps(config_of(*layers)).encode(),
        "aa/layer.tar": layers[0],
        "bb/layer.tar": layers[1],
        "cc/layer.tar": "../aa/layer.tar",
    }
    named = [f"{name}/layer.tar" for name in ("aa", "bb", "cc")]
    manifest = [{"Config": "c.json", "RepoTags": ["app:1.0", "app:2.0"], "Layers": named}]
    path = docker_save(tmp_path / "old.tar", files, manifest)
    source = open_image(f"{path}:2.0")
    assert [str(layer.digest) for layer in source.layers()] == [digest_of(data) for data in layers]
    assert source.config().platform.architecture == "amd64"
    with source.blobs.open(source.layers()[2].digest) as file:
        assert file.read() == STORE_LAYER.plain
    found = [str(one) for one in validate_layout(str(path), 1)]
    assert found == [
        f"error: {name}: it is missing [layout]" for name in ("oci-layout", "index.json")
    ]


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        pytest.param(VIEW_LAYER.plain, "application/vnd.oci.image.layer.v1.tar", id="plain"),
        pytest.param(
            packed(VIEW_LAYER.plain), "application/vnd.oci.image.layer.v1.tar+gzip", id="gzip"
        ),
    ],
)
def test_a_layer_of_an_old_archive_may_be_compressed(
    tmp_path: Path, data: bytes, media_type: str
) -> None:
    files = {"c": json.dumps(config_of(VIEW_LAYER.plain)).encode(), "layer": data}
    manifest = [{"Config": "c", "RepoTags": None, "Layers": ["layer"]}]
    source = open_image(str(docker_save(tmp_path / "old.tar", files, manifest)))
    assert [layer.media_type for layer in source.layers()] == [media_type]


@pytest.mark.parametrize("manifest", [{}, [{}], ["x"], [{"Config": "c", "Layers": 7}]])
def test_a_strange_manifest_json_is_an_error(tmp_path: Path, manifest: Any) -> None:
    path = docker_save(tmp_path / "old.tar", {}, manifest)
    with pytest.raises(LayoutError) as raised:
        open_image(str(path))
    message = "manifest.json lists no images"
    assert str(raised.value) == f"cannot read image at {path}: {message}"


def spoil_docker_manifest(path: Path, text: str) -> None:
    with tarfile.open(path) as archive:
        files = {
            member.name: (archive.extractfile(member) or io.BytesIO()).read()
            for member in archive
            if member.isfile()
        }
    files["manifest.json"] = text.encode()
    docker_save(path, {k: v for k, v in files.items() if k != "manifest.json"}, json.loads(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[{"Config":"blobs/x","Layers":[]}]',
            "error: manifest.json: there is no 'blobs/x' in the archive [docker-archive]",
        ),
        ('[{"Layers":[]}]', "error: manifest.json: it is no list of images [docker-archive]"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_wrong_list_for_docker_is_found(text: str, expected: str) -> None:
    spoil_docker_manifest(Path("app.tar"), text)
    assert [str(found) for found in validate_layout("app.tar", 1)] == [expected]
