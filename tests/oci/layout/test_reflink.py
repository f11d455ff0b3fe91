"""One file at two places: a link where that is safe, else a copy; and blobs that are adopted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nix2oci.host.scratch import MARKER
from nix2oci.oci.layout.checksum import checksum
from nix2oci.oci.layout.reflink import share
from nix2oci.oci.layout.staging import staged
from nix2oci.oci.spec import Digest

DATA = b"the bytes of a blob"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


def same_bytes_read_only(source: Path, target: Path) -> None:
    assert target.read_bytes() == source.read_bytes() == DATA
    assert target.stat().st_mode & 0o222 == 0


def test_the_target_is_the_same_bytes_and_read_only(source: Path, tmp_path: Path) -> None:
    share(str(source), str(tmp_path / "target"))
    same_bytes_read_only(source, tmp_path / "target")


def test_another_mode_makes_a_copy(source: Path, tmp_path: Path) -> None:
    source.chmod(0o600)
    share(str(source), str(tmp_path / "target"))
    same_bytes_read_only(source, tmp_path / "target")
    assert not os.path.samefile(source, tmp_path / "target")
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o444
    assert source.stat().st_mode & 0o777 == 0o600


def test_another_file_system_makes_a_copy(source: Path) -> None:
    directory = Path("/dev/shm")
    if not directory.is_dir() or directory.stat().st_dev == source.stat().st_dev:
        pytest.skip("there is no other file system")
    target = directory / f"nix2oci-test-{os.getpid()}"
    try:
        share(str(source), str(target))
        same_bytes_read_only(source, target)
        assert source.stat().st_mode & 0o222 != 0
    finally:
        target.unlink(missing_ok=True)


def test_what_is_there_stays(source: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        share(str(tmp_path / "missing"), str(tmp_path / "target"))
    assert os.listdir(tmp_path) == [source.name]


ADOPTED = [
    pytest.param(Digest.of(DATA), len(DATA), True, id="the bytes of the digest are adopted"),
    pytest.param(Digest.of(b"x"), len(DATA), False, id="other bytes are not"),
    pytest.param(Digest.of(DATA), len(DATA) + 1, False, id="a file of another size is not"),
]


@pytest.mark.parametrize(("digest", "size", "adopted"), ADOPTED)
def test_a_blob_is_adopted_when_it_is_right(
    source: Path, tmp_path: Path, digest: Digest, size: int, *, adopted: bool
) -> None:
    (tmp_path / "home").mkdir()
    with staged(str(tmp_path / "home"), "image") as place:
        assert place.adopt(str(source), digest, size) is adopted
        assert place.blobs() == ((digest.hex,) if adopted else ())
        assert sorted(os.listdir(place.directory)) == [MARKER, "blobs"]


def test_a_blob_with_a_checksum_is_read_for_that_alone(source: Path, tmp_path: Path) -> None:
    digest, size, noted = Digest.of(DATA), len(DATA), checksum(DATA)
    assert noted is not None
    with staged(str(tmp_path), "image") as place:
        assert place.adopt(str(source), digest, size, noted)
        assert not place.adopt(str(source), digest, size, noted ^ 1)


def test_the_checksum_of_a_blob_is_that_of_what_was_written(tmp_path: Path) -> None:
    with staged(str(tmp_path), "image") as place, place.new_blob(summed=True) as blob:
        for byte in DATA:
            blob.write(bytes([byte]))
        assert blob.checksum == checksum(DATA)


def test_a_file_that_is_missing_is_not_adopted(tmp_path: Path) -> None:
    with staged(str(tmp_path), "image") as place:
        assert not place.adopt(str(tmp_path / "missing"), Digest.of(DATA), len(DATA))
