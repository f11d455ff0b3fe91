"""An image of a registry as files: each blob comes once, and only as long as it should be."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fakeregistry import answer
from support.pushing import Desk

from nix2oci.errors import LayoutError, OutputError, RegistryError
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.download import fetch
from nix2oci.oci.registry.pull import open_remote
from nix2oci.oci.spec import Digest
from nix2oci.oci.validate.check_image import validate


@pytest.fixture
def remote(desk: Desk) -> ImageSource:
    desk.push()
    source = open_remote(desk.reference(), Clients(desk.access())).image()
    desk.registry.seen.clear()
    return source


@pytest.fixture
def here(tmp_path: Path) -> Path:
    directory = tmp_path / "fetched"
    directory.mkdir()
    return directory


def test_an_image_is_as_it_was_and_no_blob_comes_twice(
    desk: Desk, remote: ImageSource, here: Path
) -> None:
    told: list[int] = []
    fetched = fetch(remote, str(here), told.append)
    asked = len(desk.registry.seen)
    assert fetched.config() == desk.layout.image().config()
    assert validate(fetched, 1) == validate(desk.layout.image(), 1)
    assert fetch(remote, str(here), told.append).layers() == fetched.layers()
    found = (fetched.descriptor, fetched.config_descriptor(), *fetched.layers())
    assert sum(told) == sum(blob.size for blob in found)
    assert sorted(path.name for path in here.iterdir()) == sorted(b.digest.hex for b in found)
    assert len(desk.registry.seen) == asked


def test_what_is_not_there_is_told_of(remote: ImageSource, here: Path) -> None:
    fetched = fetch(remote, str(here), lambda _: None)
    digest = Digest.of(b"nothing")
    assert fetched.blobs.size(digest) is None
    with pytest.raises(OutputError) as caught:
        fetched.read(digest)
    assert str(caught.value) == (
        f"cannot read blob {digest} of {remote.where}: No such file or directory"
    )


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(b"x" * (2 << 20), LayoutError, id="too long"),
        pytest.param(b"x", RegistryError, id="other bytes"),
    ],
)
def test_a_blob_that_is_not_the_one_is_an_error(
    desk: Desk, remote: ImageSource, here: Path, data: bytes, error: type[Exception]
) -> None:
    layer = remote.layers()[0]
    desk.registry.script("GET", f"/blobs/{layer.digest}", answer(200, data))
    with pytest.raises(error):
        fetch(remote, str(here), lambda _: None)
    assert not (here / layer.digest.hex).exists()


def test_a_directory_that_cannot_be_written_is_told_of(remote: ImageSource, here: Path) -> None:
    with pytest.raises(OutputError) as caught:
        fetch(remote, str(here / "none"), lambda _: None)
    assert str(caught.value) == f"cannot keep {remote.where}: No such file or directory"
