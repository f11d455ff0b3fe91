"""Reading a base image: what is refused, what it is called, which store paths it has whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.bases import DOCKER, GROUP, PASSWD, as_docker, base
from support.smallimage import (
    PROGRAM,
    STORE_ENTRIES,
    STORE_LAYER,
    STORE_OBJECT,
    STORE_PATH,
    Entry,
    Json,
    Layer,
    SmallImage,
    directory,
    entry,
    link,
    nar_hash,
    nothing,
    tar,
)
from support.spoiled import setting, zstd

from nix2oci.errors import LayoutError, Nix2OCIError, OutputError, RepresentationError
from nix2oci.oci.base_image import BaseImage, read_base_image
from nix2oci.oci.layout.source import open_image
from nix2oci.oci.layout.writer import streaming
from nix2oci.oci.spec import LAYER, LAYER_GZIP, LAYER_ZSTD, Platform

AMD64 = Platform("amd64")


def read(image: SmallImage, root: Path, name: str = "base.oci") -> BaseImage:
    path = root / name
    image.write(path)
    return read_base_image(open_image(str(path)), AMD64)


def plain(data: bytes) -> bytes:
    return data


def test_a_base_has_its_layers_and_files(tmp_path: Path) -> None:
    found = read(base(), tmp_path)
    assert [layer.media_type for layer in found.layers] == [LAYER_GZIP]
    assert found.nodes[b"bin"].target == b"usr/bin"
    assert found.directories()[b"usr/bin"] == (0o751, 3, 4)
    assert found.read(b"etc/passwd") == PASSWD
    assert found.read(b"etc/group") == GROUP


def test_the_topmost_layer_has_the_last_word(tmp_path: Path) -> None:
    above = Layer(tar(directory("etc", 0o700), entry("etc/passwd", b"x\n", mode=0o600)))
    found = read(base(layers=(above,)), tmp_path)
    assert found.read(b"etc/passwd") == b"x\n"
    assert found.directories()[b"etc"] == (0o700, 0, 0)
    assert found.read(b"etc/group") == GROUP


def test_the_layers_of_a_docker_manifest_get_the_media_types_of_oci(tmp_path: Path) -> None:
    more = Layer(tar(entry("a")), plain, "")
    oci = read(base(layers=(more,)), tmp_path, "oci")
    docker = read(base(layers=(more,), manifest=as_docker), tmp_path, "docker")
    assert [layer.media_type for layer in docker.layers] == [LAYER_GZIP, LAYER]
    assert [layer.digest for layer in docker.layers] == [layer.digest for layer in oci.layers]
    assert docker.digest != oci.digest


@pytest.mark.parametrize("edit", [nothing, as_docker], ids=["OCI's type", "Docker's type"])
def test_zstd_layers_stay_what_they_are(edit: Callable[[Json], Any], tmp_path: Path) -> None:
    layer = Layer(tar(entry("a")), zstd, "+zstd")
    found = read(base(layers=(layer,), manifest=edit), tmp_path)
    assert [layer.media_type for layer in found.layers] == [LAYER_GZIP, LAYER_ZSTD]


@pytest.mark.parametrize(
    ("notes", "path", "name"),
    [
        pytest.param(
            {"io.containerd.image.name": "docker.io/library/a:1"},
            "x.oci:1.0",
            "docker.io/library/a:1",
            id="the whole name in the index",
        ),
        pytest.param({}, "x.oci:1.0", "x:1.0", id="the name of the layout and the tag"),
        pytest.param({}, "oci:x.oci", "x:1.0", id="with a prefix, and the tag of the index"),
        pytest.param({}, "sub/x.tar", "x:1.0", id="the last part of a path"),
    ],
)
def test_what_a_base_is_called(tmp_path: Path, notes: Json, path: str, name: str) -> None:
    def edit(index: Json) -> None:
        index["manifests"][0]["annotations"] |= notes

    prefix, _, file = path.rpartition("oci:") if path.startswith("oci:") else ("", "", path)
    where = tmp_path / file.partition(":")[0]
    base(index=edit).write(where)
    text = f"{'oci:' if path.startswith('oci:') else ''}{tmp_path}/{file}"
    found = read_base_image(open_image(text), AMD64)
    assert found.annotations == {
        "org.opencontainers.image.base.name": name,
        "org.opencontainers.image.base.digest": str(found.digest),
    }
    assert prefix == ""


def foreign(document: Json) -> None:
    document["layers"][0]["mediaType"] = DOCKER + "image.rootfs.foreign.diff.tar.gzip"


def other_bytes(root: Path) -> None:
    for blob in (root / "blobs/sha256").iterdir():
        data = bytearray(blob.read_bytes())
        if data[:2] == b"\x1f\x8b":
            data[8] ^= 0xFF  # a byte of the header that no reader looks at
            blob.write_bytes(data)


WRONG: list[Any] = [
    pytest.param(
        base(manifest=foreign),
        RepresentationError,
        f"its layer sha256:… is '{DOCKER}image.rootfs.foreign.diff.tar.gzip', "
        "which is not to be distributed",
        id="a foreign layer",
    ),
    pytest.param(
        base(config=setting("architecture", to="arm64")),
        LayoutError,
        "config: it is for linux/arm64, the index says linux/amd64",
        id="another platform than its index says",
    ),
    pytest.param(
        base(
            config=setting("architecture", to="arm64"),
            index=setting("manifests", 0, "platform", "architecture", to="arm64"),
        ),
        RepresentationError,
        "it is for linux/arm64, the image is for linux/amd64",
        id="another platform",
    ),
    pytest.param(
        base(config=setting("rootfs", "diff_ids", 0, to="sha256:" + "0" * 64)),
        LayoutError,
        "layer 1: its plain tar has digest sha256:…, the configuration says sha256:…",
        id="a wrong diff ID",
    ),
    pytest.param(
        base(files=other_bytes),
        LayoutError,
        "layer 1: blob sha256:… has digest sha256:…",
        id="a blob with other bytes",
    ),
    pytest.param(
        base(config=setting("config", "Env", to=["A"])),
        LayoutError,
        "config: config.Env[0]: expected NAME=value, got 'A'",
        id="a variable without a value",
    ),
    pytest.param(
        base(layers=(Layer(b"no tar"),)),
        LayoutError,
        "layer 2: it ends within an entry",
        id="a layer that is no tar",
    ),
    pytest.param(
        base(layers=(Layer(tar(entry("a/../../b"))),)),
        LayoutError,
        "the name a/../../b leads upwards",
        id="a name that leads upwards",
    ),
    pytest.param(
        base(manifest=setting("layers", 0, "mediaType", to="text/plain")),
        LayoutError,
        "layer 1: 'text/plain' is not the type of a layer",
        id="a layer of no known type",
    ),
]


@pytest.mark.parametrize(("image", "error", "message"), WRONG)
def test_a_base_that_cannot_be_used(
    tmp_path: Path,
    image: SmallImage,
    error: type[Nix2OCIError],
    message: str,
) -> None:
    with pytest.raises(error) as raised:
        read(image, tmp_path)
    told = re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", str(raised.value))
    assert told == f"cannot use base image {tmp_path}/base.oci: {message}"


def test_a_base_may_have_what_harms_nobody(tmp_path: Path) -> None:
    absolute = Layer(tar(entry("/etc/motd", b"x"), entry(".wh.nothing"), entry("b"), entry("b")))
    found = read(base(layers=(absolute,), config=setting("history", to=[])), tmp_path)
    assert b"etc/motd" in found.nodes


STORE = (STORE_PATH, nar_hash(STORE_OBJECT))
INSIDE = STORE_PATH[1:]


@pytest.mark.parametrize(
    ("above", "has"),
    [
        pytest.param([], True, id="the store path alone"),
        pytest.param([entry("etc", b"x")], True, id="something else above it"),
        pytest.param([*STORE_ENTRIES], True, id="the same again in another layer"),
        pytest.param(
            [entry(INSIDE + "/bin/app", PROGRAM)], False, id="a file of it, even if equal"
        ),
        pytest.param([entry(INSIDE + "/new", b"x")], False, id="a file more"),
        pytest.param([entry(INSIDE + "/lib/.wh.a.txt")], False, id="a file less"),
        pytest.param([entry(INSIDE + "/lib/.wh..wh..opq")], False, id="a directory emptied"),
        pytest.param([entry("nix/store/.wh." + INSIDE[10:])], False, id="all of it gone"),
        pytest.param([entry(".wh.nix")], False, id="the whole store gone"),
        pytest.param([link("nix", "/data")], False, id="a link for the store"),
    ],
)
def test_a_store_path_counts_when_all_of_it_is_there(
    tmp_path: Path, above: list[Entry], *, has: bool
) -> None:
    layers = (Layer(STORE_LAYER.plain), *([Layer(tar(*above))] if above else []))
    found = read(base(layers=layers), tmp_path)
    assert found.store_paths == (dict([STORE]) if has else {})


def test_a_store_path_in_another_order_than_a_nar_does_not_count(tmp_path: Path) -> None:
    first, *rest = STORE_ENTRIES[3:]
    mixed = Layer(tar(*STORE_ENTRIES[:3], *rest[1:], first, rest[0]))
    assert read(base(layers=(mixed,)), tmp_path).store_paths == {}


def test_a_hard_link_has_the_content_of_what_it_links_to(tmp_path: Path) -> None:
    """A link to a link, too; a layer has the file before the links to it."""
    links = (entry("b", type=b"1", linkname="./a"), entry("etc/passwd", type=b"1", linkname="b"))
    image = base(entry("a", b"x"), *links)
    assert read(image, tmp_path).read(b"etc/passwd") == b"x"


def test_what_is_no_file_cannot_be_read_as_a_file_of_accounts(tmp_path: Path) -> None:
    image = base(entry("a", b"x"), entry("etc/passwd", type=b"2", linkname="a"))
    with pytest.raises(RepresentationError) as raised:
        read(image, tmp_path).read(b"etc/passwd")
    assert str(raised.value) == (
        f"cannot read /etc/passwd of base image {tmp_path}/base.oci: "
        "it is no plain file of at most 2 MiB"
    )


def test_a_blob_that_changes_between_reading_and_copying_is_noticed(tmp_path: Path) -> None:
    found = read(base(), tmp_path)
    other_bytes(tmp_path / "base.oci")
    with streaming(_Nowhere(), str(tmp_path)) as staging, pytest.raises(LayoutError) as raised:
        found.copy_layers(staging)
    digest = found.layers[0].digest
    assert str(raised.value).startswith(
        f"cannot copy blob {digest} of base image {tmp_path}/base.oci: it has digest sha256:"
    )


def test_a_blob_that_is_gone_is_an_error(tmp_path: Path) -> None:
    found = read(base(), tmp_path)
    (tmp_path / "base.oci/blobs/sha256" / found.layers[0].digest.hex).unlink()
    with streaming(_Nowhere(), str(tmp_path)) as staging, pytest.raises(OutputError):
        found.copy_layers(staging)


class _Nowhere:
    def write(self, data: bytes | memoryview, /) -> int:
        return len(data)
