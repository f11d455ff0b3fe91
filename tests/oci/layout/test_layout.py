"""What is written, byte by byte and name by name."""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
from pathlib import Path

import pytest
from support.smallimage import VIEW_LAYER, Layer, digest_of, tar
from support.smallimage import entry as tar_entry
from support.writes import CREATED, FORMS, blob_names, digest_at, listing, put, write

from nix2oci.oci.layout.source import open_image
from nix2oci.oci.layout.writer import Image, OutputFormat, Staging, reference_to, streaming, writing
from nix2oci.oci.reference import Reference
from nix2oci.oci.spec import LAYER_GZIP, Descriptor, Digest, History, ImageConfig, Platform
from nix2oci.oci.validate.check_image import validate_layout


@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_is_valid_and_reads_back(tmp_path: Path, form: OutputFormat) -> None:
    path = tmp_path / "image"
    image = write(path, form)
    assert validate_layout(str(path), 1) == ()
    source = open_image(f"{path}:1.0")
    assert source.descriptor.digest == image.descriptor.digest == Digest.of(image.manifest)
    assert source.layers() == image.layers
    assert source.config().fields.values == json.loads(image.config)
    with source.blobs.open(image.layers[0].digest) as file:
        assert digest_of(file.read()) == str(image.layers[0].digest)
    assert os.listdir(tmp_path) == ["image"]


def test_a_layout_has_these_files_and_no_others(tmp_path: Path) -> None:
    image = write(tmp_path / "image")
    blobs = [image.descriptor.digest, image.id, *(layer.digest for layer in image.layers)]
    expected = {"index.json", "oci-layout", "blobs", "blobs/sha256"}
    assert set(listing(tmp_path / "image")) == expected | {f"blobs/sha256/{b.hex}" for b in blobs}
    assert (tmp_path / "image/oci-layout").read_text() == '{"imageLayoutVersion":"1.0.0"}'
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "image").rglob("*")}
    assert modes == {0o755, 0o644}


def test_the_index_names_the_image_for_every_tool(tmp_path: Path) -> None:
    write(tmp_path / "image", name="team/app:1.0")
    (entry,) = json.loads((tmp_path / "image/index.json").read_text())["manifests"]
    assert entry["annotations"] == {
        "io.containerd.image.name": "docker.io/team/app:1.0",
        "org.opencontainers.image.ref.name": "1.0",
    }
    assert entry["platform"] == {"architecture": "amd64", "os": "linux"}


@pytest.mark.parametrize(
    ("name", "full"),
    [
        pytest.param("app:1.0", "docker.io/library/app:1.0", id="a bare name is Docker's own"),
        pytest.param("app", "docker.io/library/app:latest", id="no tag is latest"),
        pytest.param("ghcr.io/a/b:2", "ghcr.io/a/b:2", id="a registry stays"),
        pytest.param("localhost/app:1", "localhost/app:1", id="localhost is a registry"),
    ],
)
def test_an_archive_has_the_whole_name(tmp_path: Path, name: str, full: str) -> None:
    write(tmp_path / "image", "archive", name)
    with tarfile.open(tmp_path / "image") as tar_file:
        documents = {
            key: json.load(tar_file.extractfile(key) or io.BytesIO())
            for key in ("index.json", "manifest.json")
        }
    (entry,) = documents["index.json"]["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == full
    (docker,) = documents["manifest.json"]
    assert docker["RepoTags"] == [full]


def test_an_archive_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    write(tmp_path / "one", "archive")
    write(tmp_path / "two", "archive")
    data = (tmp_path / "one").read_bytes()
    assert data == (tmp_path / "two").read_bytes()
    with tarfile.open(tmp_path / "one") as tar_file:
        members = tar_file.getmembers()
    names = [member.name for member in members]
    assert names[:5] == ["oci-layout", "index.json", "manifest.json", "blobs", "blobs/sha256"]
    assert names[5:] == sorted(names[5:])
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", 1)}
    last = members[-1]
    assert len(data) == last.offset_data + last.size + -last.size % 512 + 1024


def test_a_stream_gets_the_archive(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    out = io.BytesIO()
    with streaming(out, str(scratch)) as staging:
        put(staging)
    write(tmp_path / "image", "archive")
    assert out.getvalue() == (tmp_path / "image").read_bytes()
    assert os.listdir(scratch) == []


def test_a_pipe_that_nobody_reads_is_a_broken_pipe(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with (
        open(writer, "wb", buffering=0) as out,
        pytest.raises(BrokenPipeError),
        streaming(out, str(tmp_path)) as staging,
    ):
        put(staging)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("form", "reference"),
    [("oci", "oci:out/app:1.0"), ("archive", "oci-archive:out/app:1.0")],
)
def test_the_reference_is_what_skopeo_takes(form: OutputFormat, reference: str) -> None:
    assert reference_to("out/app", form, Reference.parse("app:1.0")) == reference


def test_another_tag_is_added_and_the_same_tag_replaced(tmp_path: Path) -> None:
    path = tmp_path / "image"
    write(path, name="app:1.0", text="one")
    second = write(path, name="app:2.0", text="two")
    third = write(path, name="app:1.0", text="three")
    index = json.loads((path / "index.json").read_text())
    tags = [m["annotations"]["org.opencontainers.image.ref.name"] for m in index["manifests"]]
    assert tags == ["1.0", "2.0"]
    assert digest_at(path, "1.0") == third.descriptor.digest
    assert digest_at(path, "2.0") == second.descriptor.digest


def put_two(staging: Staging, text: str = "one") -> tuple[Image, Image]:
    """Stage an image and one that has a layer more, and finish both at once."""
    image = put(staging, text=text, finish=False)
    top = Layer(tar(tar_entry("tools", b"")))
    twin = put(staging, text=text, finish=False, more=(top,))
    names = Reference.parse("team/app:1.0"), Reference.parse("team/app:1.0-debug")
    staging.finish([(image, names[:1]), (twin, names[1:])])
    return image, twin


@pytest.mark.parametrize("form", FORMS)
def test_two_images_appear_at_once_and_share_their_blobs(
    tmp_path: Path, form: OutputFormat
) -> None:
    path = tmp_path / "image"
    with writing(str(path), form) as staging:
        image, twin = put_two(staging)
    assert twin.layers[:-1] == image.layers
    assert validate_layout(str(path), 1) == ()
    assert digest_at(path, "1.0") == image.descriptor.digest
    assert digest_at(path, "1.0-debug") == twin.descriptor.digest
    if form == "oci":
        documents = {image.id, twin.id, image.descriptor.digest, twin.descriptor.digest}
        layers = {layer.digest for layer in twin.layers}
        assert blob_names(path) == {digest.hex for digest in documents | layers}


def test_two_images_of_an_archive_have_both_names_for_docker(tmp_path: Path) -> None:
    with writing(str(tmp_path / "image"), "archive") as staging:
        image, twin = put_two(staging)
    with tarfile.open(tmp_path / "image") as tar_file:
        docker = json.load(tar_file.extractfile("manifest.json") or io.BytesIO())
        names = tar_file.getnames()
    assert [one["RepoTags"] for one in docker] == [
        ["docker.io/team/app:1.0"],
        ["docker.io/team/app:1.0-debug"],
    ]
    assert [len(one["Layers"]) for one in docker] == [len(image.layers), len(twin.layers)]
    assert len(names) == len(set(names))


def test_two_images_replace_those_of_their_tags_and_what_only_these_had(tmp_path: Path) -> None:
    path = tmp_path / "image"
    other = write(path, name="app:2.0", text="other")
    with writing(str(path)) as staging:
        put_two(staging, "old")
    with writing(str(path)) as staging:
        image, twin = put_two(staging, "new")
    index = json.loads((path / "index.json").read_text())
    tags = [m["annotations"]["org.opencontainers.image.ref.name"] for m in index["manifests"]]
    assert tags == ["2.0", "1.0", "1.0-debug"]
    needed = {
        digest.hex
        for one in (other, image, twin)
        for digest in (one.id, one.descriptor.digest, *(layer.digest for layer in one.layers))
    }
    assert blob_names(path) == needed


def put_half(staging: Staging) -> None:
    """Finish an image, and one that lacks a layer."""
    config = ImageConfig(Platform("amd64"), CREATED, (Digest.of(b""),), (History("x"),))
    lacking = Image.of(config, (Descriptor(LAYER_GZIP, Digest.of(b""), 0),))
    image = put(staging, text="new", finish=False)
    names = Reference.parse("app:1.0"), Reference.parse("app:1.0-debug")
    staging.finish([(image, names[:1]), (lacking, names[1:])])


@pytest.mark.parametrize("form", FORMS)
def test_no_image_appears_when_one_of_two_cannot(tmp_path: Path, form: OutputFormat) -> None:
    path = tmp_path / "image"
    write(path, form, text="old")
    before = listing(tmp_path)
    with (
        pytest.raises(AssertionError, match=r"^layers were not committed"),
        writing(str(path), form) as staging,
    ):
        put_half(staging)
    assert listing(tmp_path) == before


def test_a_damaged_blob_is_put_right_by_the_next_build(tmp_path: Path) -> None:
    path = tmp_path / "image"
    image = write(path)
    blob = path / "blobs/sha256" / image.layers[0].digest.hex
    blob.write_bytes(blob.read_bytes()[:-1])
    assert [f.code for f in validate_layout(str(path), 1)] != []
    write(path)
    assert validate_layout(str(path), 1) == ()


@pytest.mark.parametrize("form", FORMS)
def test_a_link_is_followed_and_stays_a_link(tmp_path: Path, form: OutputFormat) -> None:
    (tmp_path / "link").symlink_to("real")
    for text in ("one", "two"):
        image = write(tmp_path / "link", form, text=text)
        assert digest_at(tmp_path / "real") == image.descriptor.digest
    assert (tmp_path / "link").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]


def test_a_layer_that_was_not_committed_is_a_bug(tmp_path: Path) -> None:
    config = ImageConfig(Platform("amd64"), CREATED, (Digest.of(b""),), (History("x"),))
    image = Image.of(config, (Descriptor(LAYER_GZIP, Digest.of(b""), 0),))
    with (
        pytest.raises(AssertionError, match="layers were not committed"),
        writing(str(tmp_path / "image")) as staging,
    ):
        staging.finish([(image, [Reference.parse("app")])])
    assert os.listdir(tmp_path) == []


def test_the_image_can_be_checked_before_it_appears(tmp_path: Path) -> None:
    with writing(str(tmp_path / "image")) as staging:
        image = put_unfinished(staging)
        source = staging.source(image)
        assert source.layers() == image.layers
        assert source.blobs.size(image.layers[0].digest) == image.layers[0].size
        assert not (tmp_path / "image/index.json").exists()


def put_unfinished(staging: Staging) -> Image:
    packed = VIEW_LAYER.pack(VIEW_LAYER.plain)
    with staging.new_blob() as blob:
        blob.write(packed)
        blob.commit(Digest.of(packed), len(packed))
    config = ImageConfig(
        Platform("amd64"), CREATED, (Digest.of(VIEW_LAYER.plain),), (History("x"),)
    )
    return Image.of(config, (Descriptor(LAYER_GZIP, Digest.of(packed), len(packed)),))


# Real tools judge what was written.
