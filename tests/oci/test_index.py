"""Images that were built apart are joined whole, whatever their order, or an error says why not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.json_page import documented
from support.platform_images import NAMED, platform_image
from support.smallimage import Json, SmallImage
from support.terminal import Terminal

from nix2oci.errors import ConfigError, LayoutError
from nix2oci.oci.fields import Fields
from nix2oci.oci.index import index_of
from nix2oci.oci.layout.source import open_image, open_layout
from nix2oci.oci.spec import Platform
from nix2oci.oci.validate.check_image import validate_layout

PLATFORMS = {name: Platform.parse(f"linux/{name}") for name in ("amd64", "arm64", "riscv64")}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


@pytest.fixture
def here(terminal: Terminal) -> Path:
    platform_image(terminal.directory, "a", "amd64")
    platform_image(terminal.directory, "b", "arm64")
    return terminal.directory


def test_two_images_become_one(terminal: Terminal, here: Path) -> None:
    done = terminal.run("index", "a", "b", "-o", "both")
    assert (done.returncode, done.stdout) == (0, "oci:both:1.0\n"), done.stderr
    assert validate_layout(str(here / "both")) == ()
    for name, source in (("amd64", "a"), ("arm64", "b")):
        found = open_image(str(here / "both"), PLATFORMS[name])
        assert found.descriptor.digest == open_image(str(here / source)).descriptor.digest
    (entry,) = open_layout(str(here / "both"))[0].entries()
    assert entry.annotations[NAMED] == "example.com/app:1.0"


def test_the_order_makes_no_difference(terminal: Terminal, here: Path) -> None:
    terminal.run("index", "a", "b", "-o", "x", "-q")
    terminal.run("index", "b", "a", "-o", "y", "-q")
    assert (here / "x/index.json").read_bytes() == (here / "y/index.json").read_bytes()


def test_an_index_stands_for_all_of_its_images(terminal: Terminal, here: Path) -> None:
    platform_image(here, "c", "riscv64")
    assert terminal.run("index", "a", "b", "-o", "both.tar").stdout == "oci-archive:both.tar:1.0\n"
    done = terminal.run("index", "both.tar", "c", "-o", "three", "--tag", "team/app:2", "--json")
    document = json.loads(done.stdout)
    assert set(document) == documented("index", 0)
    assert set(document["manifests"][0]) == documented("index", 1)
    assert document["reference"] == "oci:three:2"
    assert document["name"] == "team/app:2"
    assert [each["platform"] for each in document["manifests"]] == [
        "linux/amd64",
        "linux/arm64",
        "linux/riscv64",
    ]
    (entry,) = open_layout(str(here / "three"))[0].entries()
    assert document["digest"] == str(entry.digest)


def test_an_archive_of_an_index_has_nothing_that_an_old_docker_would_take_wrongly(
    terminal: Terminal, here: Path
) -> None:
    argv = terminal.argv("index", "a", "b", "-o", "-", "-q")
    done = subprocess.run(argv, cwd=here, env=terminal.env(), capture_output=True, check=True)
    (here / "stream.tar").write_bytes(done.stdout)
    listed = subprocess.run(("tar", "tf", here / "stream.tar"), capture_output=True, check=True)
    assert b"manifest.json" not in listed.stdout
    assert open_image(str(here / "stream.tar"), PLATFORMS["arm64"]).platform().architecture


def test_annotations_that_all_have_are_those_of_the_index(tmp_path: Path) -> None:
    other = {"org.opencontainers.image.source": "https://example.com/other"}
    paths = platform_image(tmp_path, "a", "amd64"), platform_image(tmp_path, "b", "arm64", **other)
    index = index_of([open_image(str(path)) for path in paths])
    assert index.annotations == {"org.opencontainers.image.title": "app"}


def test_an_entry_without_a_platform_has_that_of_its_configuration(tmp_path: Path) -> None:
    path = SmallImage(index=lambda document: document["manifests"][0].pop("platform"))
    index = index_of([open_image(str(path.write(tmp_path / "a")))])
    assert [entry.platform for entry in index.manifests] == [Platform("amd64")]


def fails(terminal: Terminal, *args: str) -> tuple[int, list[str]]:
    """Exit code and the lines of the error; no output is left."""
    done = terminal.run("index", *args, "-o", "out", "-q")
    assert (done.stdout, "out" in terminal.left()) == ("", False)
    return done.returncode, done.stderr.splitlines()


def test_two_images_for_one_platform(terminal: Terminal, here: Path) -> None:
    platform_image(here, "c", "amd64", other="other")
    assert fails(terminal, "a", "b", "c") == (
        2,
        ["error: cannot join a and c: both are for linux/amd64"],
    )


def test_a_blob_that_was_changed(terminal: Terminal, here: Path) -> None:
    layer = open_image(str(here / "a")).layers()[0].digest
    (here / "a/blobs/sha256" / layer.hex).write_bytes(b"other")
    assert fails(terminal, "a", "b") == (
        8,
        [f"error: cannot read a: blob {layer} has other bytes", "hint: nix2oci validate a"],
    )


def edit(path: Path, change: Any) -> None:
    document = json.loads((path / "index.json").read_text())
    change(document["manifests"])
    (path / "index.json").write_text(json.dumps(document))


def test_several_images_where_one_is_meant(terminal: Terminal, here: Path) -> None:
    text = json.dumps(json.loads((here / "b/index.json").read_text())["manifests"][0])
    entries = [json.loads(text.replace('"1.0"', f'"{tag}.0"')) for tag in "97532468"]
    edit(here / "a", lambda manifests: manifests.extend(entries))
    assert fails(terminal, "a", "b") == (
        2,
        [
            "error: cannot join a: it has 9 images",
            "hint: name one of its tags after a colon: "
            + ", ".join(f"{tag}.0" for tag in range(1, 10)),
        ],
    )
    assert terminal.run("index", "a:1.0", "b", "-o", "out", "-q").returncode == 0


def test_an_image_without_a_name(terminal: Terminal, here: Path) -> None:
    edit(here / "a", lambda manifests: manifests[0]["annotations"].pop(NAMED))
    assert fails(terminal, "a", "b") == (
        2,
        ["error: cannot name the index: a has no name", "hint: give it --tag"],
    )


def test_a_layout_without_images(terminal: Terminal, here: Path) -> None:
    edit(here / "a", list.clear)
    assert fails(terminal, "a", "b") == (
        8,
        ["error: cannot read image at a: it holds no image"],
    )


def test_an_image_that_says_no_platform(tmp_path: Path) -> None:
    def config(document: Json) -> None:
        del document["architecture"]

    path = SmallImage(
        config=config, index=lambda document: document["manifests"][0].pop("platform")
    ).write(tmp_path / "a")
    with pytest.raises(ConfigError, match=r"a: it does not say for which platform it is$"):
        index_of([open_image(str(path))])


@pytest.mark.parametrize("text", ["linux", "linux/", "/amd64", "linux/arm/v7/x", "", "amd64"])
def test_what_is_no_platform(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Platform.parse(text)
    assert str(caught.value) == f"cannot read platform '{text}': it is not OS/ARCHITECTURE"


def test_a_platform_that_is_not_made_of_text() -> None:
    fields = Fields.of({"architecture": 1})
    assert Platform.read(fields) == Platform("", "")
    with pytest.raises(LayoutError, match="x: architecture: expected text, got 1"):
        fields.check("x")
