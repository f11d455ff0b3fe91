"""Everything that can be wrong with an image, one thing at a time: each row spoils a good one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.paths import TESTS
from support.smallimage import (
    STORE_LAYER,
    Json,
    SmallImage,
    digest_of,
)
from support.spoiled import findings, setting, without

from nix2oci.errors import ConfigError, OutputError
from nix2oci.oci.layout.source import open_image
from nix2oci.oci.validate.check_documents import read_documents
from nix2oci.oci.validate.check_image import validate, validate_layout
from nix2oci.oci.validate.finding import RULES


def damage_blob(number: int) -> Callable[[Path], None]:
    """Change one byte of a layer's blob."""

    def damage(root: Path) -> None:
        path = layer_blob(root, number)
        data = bytearray(path.read_bytes())
        data[8] ^= 0xFF  # the XFL byte of the header, which no reader looks at
        path.write_bytes(data)

    return damage


def remove_blob(number: int) -> Callable[[Path], None]:
    return lambda root: layer_blob(root, number).unlink()


def layer_blob(root: Path, number: int) -> Path:
    manifest = read_manifest(root)
    return blob(root, manifest["layers"][number]["digest"])


def blob(root: Path, digest: str) -> Path:
    return root / "blobs/sha256" / digest[7:]


def read_manifest(root: Path) -> Json:
    index = json.loads((root / "index.json").read_text())
    found: Json = json.loads(blob(root, index["manifests"][0]["digest"]).read_text())
    return found


def rewrite_manifest(root: Path) -> None:
    index = json.loads((root / "index.json").read_text())
    path = blob(root, index["manifests"][0]["digest"])
    path.write_text(path.read_text().replace(': "', ':  "', 1))


def remove_config(root: Path) -> None:
    blob(root, read_manifest(root)["config"]["digest"]).unlink()


def remove_manifest(root: Path) -> None:
    index = json.loads((root / "index.json").read_text())
    blob(root, index["manifests"][0]["digest"]).unlink()


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(
            SmallImage(layout=setting("imageLayoutVersion", to="1.0.1")),
            "error: oci-layout: imageLayoutVersion: expected 1.0.0, got '1.0.1' [layout]",
            id="another layout version",
        ),
        pytest.param(
            SmallImage(files=lambda root: (root / "oci-layout").unlink()),
            "error: oci-layout: it is missing [layout]",
            id="no oci-layout",
        ),
        pytest.param(
            SmallImage(files=lambda root: (root / "index.json").write_text("{")),
            "error: IMAGE: cannot read IMAGE: index.json: it is not JSON [layout]",
            id="an index that is no JSON",
        ),
        pytest.param(
            SmallImage(index=setting("manifests", to={})),
            "error: index.json: manifests: expected a list, got {} [index]",
            id="an index without a list",
        ),
        pytest.param(
            SmallImage(index=setting("schemaVersion", to=1)),
            "error: index.json: schemaVersion: expected 2, got 1 [index]",
            id="an index of another schema version",
        ),
        pytest.param(
            SmallImage(index=setting("annotations", to={"x": 1})),
            "error: index.json: annotations['x']: expected text, got 1 [index]",
            id="an annotation that is a number",
        ),
        pytest.param(
            SmallImage(index=setting("manifests", 0, "platform", "architecture", to="arm64")),
            "error: config: it is for linux/amd64, the index says linux/arm64 [platform]",
            id="another platform in the index",
        ),
        pytest.param(
            SmallImage(index=setting("manifests", 0, "size", to=7)),
            "error: manifest: blob sha256:… has … bytes, its descriptor says 7 [blob-size]",
            id="another size of the manifest",
        ),
        pytest.param(
            SmallImage(index=setting("manifests", 0, "mediaType", to="application/json")),
            "error: manifest: 'application/json' is not the type of an image manifest [media-type]",
            id="another media type of the manifest",
        ),
        pytest.param(
            SmallImage(config=setting("author", to="x" * (16 << 20))),
            "error: config: it has … bytes, too many to be read [config]",
            id="a configuration that nobody would read",
        ),
        pytest.param(
            SmallImage(files=rewrite_manifest),
            "error: manifest: blob sha256:… has … bytes, its descriptor says … [blob-size]\n"
            "error: manifest: blob sha256:… has digest sha256:… [blob-digest]",
            id="a manifest that was edited",
        ),
        pytest.param(
            SmallImage(files=remove_manifest),
            "error: manifest: there is no blob sha256:… [blob-missing]",
            id="no manifest",
        ),
        pytest.param(
            SmallImage(files=remove_config),
            "error: config: there is no blob sha256:… [blob-missing]",
            id="no configuration",
        ),
        pytest.param(
            SmallImage(manifest=setting("layers", to=[])),
            "error: manifest: layers: expected at least one item [manifest]",
            id="no layers",
        ),
        pytest.param(
            SmallImage(manifest=setting("layers", 0, "digest", to="sha256:ab")),
            "error: manifest: layers[0].digest: expected sha256:<64 hex digits>,"
            " got 'sha256:ab' [manifest]",
            id="a digest that is too short",
        ),
        pytest.param(
            SmallImage(manifest=setting("annotations", to={"x": "y" * (4 << 20)})),
            "error: manifest: it has … bytes, 4 MiB or more [manifest-size]",
            id="a manifest that no registry takes",
        ),
        pytest.param(
            SmallImage(manifest=setting("config", "mediaType", to="application/json")),
            "error: config: 'application/json' is not the type of an image configuration"
            " [media-type]",
            id="another media type of the configuration",
        ),
        pytest.param(
            SmallImage(manifest=setting("config", "size", to=1)),
            "error: config: blob sha256:… has … bytes, its descriptor says 1 [blob-size]",
            id="another size of the configuration",
        ),
        pytest.param(
            SmallImage(config=without("architecture")),
            "error: config: the document: 'architecture' is missing [config]",
            id="no architecture",
        ),
        pytest.param(
            SmallImage(config=setting("config", "Env", to=["PATH=/bin", "HOME"])),
            "error: config: config.Env[1]: expected NAME=value, got 'HOME' [config]",
            id="a variable without a value",
        ),
        pytest.param(
            SmallImage(config=setting("created", to="now")),
            "error: config: created: expected a time as in RFC 3339, got 'now' [config]",
            id="a time that is none",
        ),
        pytest.param(
            SmallImage(config=lambda c: c["rootfs"]["diff_ids"].pop()),
            "error: config: 1 diff IDs for 2 layers [diff-id-count]",
            id="a diff ID too few",
        ),
        pytest.param(
            SmallImage(config=setting("rootfs", "diff_ids", 0, to=digest_of(b""))),
            "error: layer 1: its plain tar has digest sha256:…,"
            " the configuration says sha256:… [diff-id]",
            id="a wrong diff ID",
        ),
        pytest.param(
            SmallImage(config=lambda c: c["history"].append({})),
            "error: config: 3 entries of the history are layers, but there are 2 [history-count]",
            id="a step of history too many",
        ),
        pytest.param(
            SmallImage(config=setting("config", "Entrypoint", to=["/bin/sh"])),
            "error: config: '/bin/sh' is not in the image [entrypoint]",
            id="an entrypoint that is not there",
        ),
        pytest.param(
            SmallImage(config=setting("config", "Entrypoint", to=["/etc/passwd"])),
            "error: config: '/etc/passwd' is not an executable file [entrypoint]",
            id="an entrypoint that is not executable",
        ),
        pytest.param(
            SmallImage(config=setting("config", to={"Cmd": ["sh"]})),
            "error: config: 'sh' is not in the image [entrypoint]",
            id="a command that is not on PATH",
        ),
        pytest.param(
            SmallImage(config=setting("config", "Healthcheck", to={"Test": ["CMD-SHELL", "x"]})),
            "error: config: '/bin/sh' is not in the image [healthcheck]",
            id="a health check without its shell",
        ),
        pytest.param(
            SmallImage(files=remove_blob(1)),
            "error: layer 2: there is no blob sha256:… [blob-missing]",
            id="no blob of a layer",
        ),
        pytest.param(
            SmallImage(manifest=setting("layers", 1, "size", to=9)),
            "error: layer 2: blob sha256:… has … bytes, its descriptor says 9 [blob-size]",
            id="another size of a layer",
        ),
        pytest.param(
            SmallImage(files=damage_blob(0)),
            "error: layer 1: blob sha256:… has digest sha256:… [blob-digest]",
            id="a blob with one other byte",
        ),
        pytest.param(
            SmallImage(
                manifest=setting(
                    "layers", 0, "mediaType", to="application/vnd.oci.image.layer.v1.tar+zstd"
                )
            ),
            "error: layer 1: 'application/vnd.oci.image.layer.v1.tar+zstd'"
            " for a layer whose compression is gzip [media-type]",
            id="another compression than the media type says",
        ),
        pytest.param(
            SmallImage(manifest=setting("layers", 0, "mediaType", to="text/plain")),
            "error: layer 1: 'text/plain' is not the type of a layer [media-type]",
            id="a layer that is none",
        ),
        pytest.param(
            SmallImage([STORE_LAYER] * 128),
            "error: manifest: 128 layers are more than the 127 that engines can mount"
            " [layer-count]",
            id="too many layers",
        ),
    ],
)
def test_wrong_documents(tmp_path: Path, image: SmallImage, expected: str) -> None:
    assert findings(image, tmp_path / "image") == expected.split("\n")


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    image = SmallImage(
        config=setting("config", "Env", to=["HOME"]),
        manifest=setting("layers", 1, "size", to=9),
        layout=setting("imageLayoutVersion", to="2"),
        files=damage_blob(0),
    )
    codes = [line.rpartition("[")[2][:-1] for line in findings(image, tmp_path / "image")]
    assert codes == ["layout", "blob-size", "config", "blob-digest"]


def test_reading_the_documents_reads_no_layer(tmp_path: Path) -> None:
    spoiled = SmallImage(files=damage_blob(0)).write(tmp_path / "spoiled")
    assert read_documents(open_image(str(spoiled))).findings == ()
    assert [found.code for found in validate(open_image(str(spoiled)))] == ["blob-digest"]
    shorter = SmallImage(manifest=setting("layers", 1, "size", to=9)).write(tmp_path / "shorter")
    assert [found.code for found in read_documents(open_image(str(shorter))).findings] == [
        "blob-size"
    ]


def test_a_tag_picks_one_image(tmp_path: Path) -> None:
    path = SmallImage(index=lambda index: index["manifests"].append(MISSING)).write(tmp_path / "x")
    assert validate_layout(f"{path}:1.0") == ()
    (found,) = validate_layout(str(path))
    assert str(found) == (
        f"error: other: manifest: there is no blob {MISSING['digest']} [blob-missing]"
    )
    with pytest.raises(ConfigError) as raised:
        validate_layout(f"{path}:2.0")
    assert str(raised.value) == f"cannot read image at {path}:2.0: it has no tag '2.0'"
    assert raised.value.hint == "name one of its tags after a colon: 1.0, other"


MISSING = {
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": "sha256:" + "0" * 64,
    "size": 5,
    "annotations": {"org.opencontainers.image.ref.name": "other"},
}


def test_what_cannot_be_read_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as raised:
        validate_layout(f"{tmp_path}/nothing")
    message = f"cannot read image at {tmp_path}/nothing: No such file or directory"
    assert str(raised.value) == message


def test_every_rule_is_found_by_some_test() -> None:
    """A rule that no row breaks is a check that may not exist."""
    rows = "".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    assert [code for code in RULES if f"[{code}]" not in rows] == []
