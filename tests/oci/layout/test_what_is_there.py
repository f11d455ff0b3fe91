"""What is there already when an image is written: nothing of it is lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.smallimage import digest_of, tar
from support.smallimage import entry as tar_entry
from support.writes import FORMS, blob_names, digest_at, listing, write

from nix2oci.errors import ConfigError, LayoutError
from nix2oci.oci.layout.writer import OutputFormat
from nix2oci.oci.spec import INDEX
from nix2oci.oci.validate.check_image import validate_layout


def occupy_with_files(path: Path) -> None:
    path.mkdir()
    (path / "notes").write_text("mine")


def occupy_with_file(path: Path) -> None:
    path.write_text("mine")


def occupy_with_version(path: Path) -> None:
    write(path)
    (path / "oci-layout").write_text('{"imageLayoutVersion":"2.0.0"}')


def occupy_with_index(path: Path) -> None:
    write(path)
    (path / "index.json").write_text("[]")


def occupy_with_text_index(path: Path) -> None:
    write(path)
    (path / "index.json").write_text('{"manifests":["x"]}')


def occupy_with_no_json(path: Path) -> None:
    write(path)
    (path / "oci-layout").write_text("1.0.0")


def occupy_with_directory(path: Path) -> None:
    path.mkdir()


def occupy_with_tar(path: Path) -> None:
    path.write_bytes(tar(tar_entry("photo.jpg", b"mine")))


def occupy_with_fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("form", "occupy", "error", "message", "hint"),
    [
        pytest.param(
            "oci",
            occupy_with_files,
            ConfigError,
            "cannot write image layout at {}: the directory holds other things, such as 'notes'",
            "name a new directory, or an image layout, with -o",
            id="a directory with other files",
        ),
        pytest.param(
            "oci",
            occupy_with_file,
            ConfigError,
            "cannot write image layout at {}: there is a file",
            "name another path with -o, or write an archive with --format archive",
            id="a file where the layout goes",
        ),
        pytest.param(
            "oci",
            occupy_with_version,
            LayoutError,
            "cannot write image layout at {}: its version is '2.0.0', not '1.0.0'",
            None,
            id="a layout of another version",
        ),
        pytest.param(
            "oci",
            occupy_with_index,
            LayoutError,
            "cannot write image layout at {}: index.json is not a JSON object",
            None,
            id="a layout whose index is a list",
        ),
        pytest.param(
            "oci",
            occupy_with_no_json,
            LayoutError,
            "cannot write image layout at {}: oci-layout is not JSON",
            None,
            id="a layout whose version is no JSON",
        ),
        pytest.param(
            "oci",
            occupy_with_text_index,
            LayoutError,
            "cannot write image layout at {}: index.json is not an image index",
            None,
            id="a layout whose index lists no descriptors",
        ),
        pytest.param(
            "archive",
            occupy_with_directory,
            ConfigError,
            "cannot write image archive at {}: there is a directory",
            "name a file with -o, or write a layout with --format oci",
            id="a directory where the archive goes",
        ),
        pytest.param(
            "archive",
            occupy_with_file,
            ConfigError,
            "cannot write image archive at {}: there is a file that is not an image archive",
            "name another file with -o, or remove this one",
            id="a file that is no tar",
        ),
        pytest.param(
            "archive",
            occupy_with_tar,
            ConfigError,
            "cannot write image archive at {}: there is a file that is not an image archive",
            "name another file with -o, or remove this one",
            id="a tar without an image",
        ),
        pytest.param(
            "archive",
            occupy_with_fifo,
            ConfigError,
            "cannot write image archive at {}: it is not a regular file",
            "write to standard output with -o -",
            id="a FIFO",
        ),
    ],
)
def test_what_is_no_image_is_left_alone(  # noqa: PLR0917  # a row of the table
    tmp_path: Path,
    form: OutputFormat,
    occupy: Callable[[Path], None],
    error: type[ConfigError | LayoutError],
    message: str,
    hint: str | None,
) -> None:
    path = tmp_path / "there"
    occupy(path)
    before = listing(tmp_path)
    with pytest.raises(error) as raised:
        write(path, form)
    assert (str(raised.value), raised.value.hint) == (message.format(path), hint)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("form", FORMS)
def test_an_image_of_another_form_is_left_alone(tmp_path: Path, form: OutputFormat) -> None:
    path = tmp_path / "image"
    write(path, "archive" if form == "oci" else "oci")
    before = listing(tmp_path)
    with pytest.raises(ConfigError):
        write(path, form)
    assert listing(tmp_path) == before


def test_an_empty_directory_and_an_empty_file_are_used(tmp_path: Path) -> None:
    (tmp_path / "layout").mkdir()
    (tmp_path / "archive").touch()
    write(tmp_path / "layout")
    write(tmp_path / "archive", "archive")
    assert digest_at(tmp_path / "layout") == digest_at(tmp_path / "archive")


def test_files_that_are_not_ours_stay(tmp_path: Path) -> None:
    path = tmp_path / "image"
    write(path, text="one")
    (path / "README").write_text("mine")
    (path / "blobs/sha256" / ("f" * 64)).write_text("somebody's")
    (path / "blobs/sha512").mkdir()
    write(path, text="two")
    assert (path / "README").read_text() == "mine"
    assert (path / "blobs/sha256" / ("f" * 64)).read_text() == "somebody's"
    assert (path / "blobs/sha512").is_dir()
    assert validate_layout(str(path), 1) == ()


@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(
            {
                "mediaType": "application/vnd.example+json",
                "digest": "sha256:" + "a" * 64,
                "size": 3,
            },
            id="of a kind that we do not know",
        ),
        pytest.param(
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": "sha256:" + "a" * 64,
                "size": 3,
            },
            id="that is missing",
        ),
    ],
)
def test_nothing_is_removed_beside_a_manifest(tmp_path: Path, foreign: dict[str, Any]) -> None:
    path = tmp_path / "image"
    write(path, text="one")
    index = json.loads((path / "index.json").read_text())
    index["manifests"].append(foreign)
    (path / "index.json").write_text(json.dumps(index))
    before = blob_names(path)
    write(path, text="two")
    assert before < blob_names(path)
    assert json.loads((path / "index.json").read_text())["manifests"][1] == foreign


def test_blobs_of_a_replaced_image_go_unless_another_needs_them(tmp_path: Path) -> None:
    path = tmp_path / "image"
    first = write(path, text="one")
    second = write(path, text="two")
    needed = {second.descriptor.digest, second.id, *(layer.digest for layer in second.layers)}
    assert blob_names(path) == {digest.hex for digest in needed}
    assert first.layers[0] == second.layers[0]


def nested(path: Path, text: str) -> str:
    """Put the only image of a layout into an index of its own; the digest of that."""
    write(path, text=text)
    index = json.loads((path / "index.json").read_text())
    data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": index["manifests"]})
    digest = digest_of(data.encode())
    (path / "blobs/sha256" / digest[7:]).write_text(data)
    top = {"mediaType": INDEX, "digest": digest, "size": len(data)}
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top, top]}))
    return digest


def test_images_of_a_nested_index_stay(tmp_path: Path) -> None:
    path = tmp_path / "image"
    nested(path, "nested")
    before = blob_names(path)
    write(path, name="app:1.0", text="one")
    write(path, name="app:1.0", text="two")
    assert before < blob_names(path)
    assert len(blob_names(path)) == len(before) + 3
    assert validate_layout(str(path), 1) == ()


def test_what_refers_to_the_replaced_image_keeps_it(tmp_path: Path) -> None:
    """A referrer such as an SBOM names its image as `subject` (manifest.md)."""
    path = tmp_path / "image"
    image = write(path, text="one")
    referrer = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "subject": image.descriptor.to_json(),
            "layers": [],
        }
    )
    digest = digest_of(referrer.encode())
    (path / "blobs/sha256" / digest[7:]).write_text(referrer)
    index = json.loads((path / "index.json").read_text())
    entry = {
        "mediaType": index["manifests"][0]["mediaType"],
        "digest": digest,
        "size": len(referrer),
    }
    (path / "index.json").write_text(
        json.dumps({**index, "manifests": [*index["manifests"], entry]})
    )
    before = blob_names(path)
    write(path, text="two")
    assert before < blob_names(path)
