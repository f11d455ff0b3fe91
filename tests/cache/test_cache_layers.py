"""Layers through the cache: what is at hand is not made, and what is damaged is made anew."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.faults import kill, run_with_fault

from nix2oci.cache.directory import Cache
from nix2oci.cache.layer_store import LayerRequest, layer_key, write_missing
from nix2oci.model.tree import Entry, File
from nix2oci.oci.layer.blob import Layer
from nix2oci.oci.layer.compression import Compression
from nix2oci.oci.layer.tar import FORMAT
from nix2oci.oci.layer.workers import LayerJob
from nix2oci.oci.layout.staging import Workspace, staged
from nix2oci.oci.spec import Digest

GZIP = Compression.GZIP
NAMES = ("one", "two", "view")


@dataclass
class Build:
    """Builds of the same three layers; the last one is the image's own."""

    scratch: Path
    said: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)

    @property
    def cache(self) -> Cache:
        return Cache(str(self.scratch / "cache"), 1 << 30, self.said.append, self.said.append)

    def entries(self, name: str) -> Iterator[Entry]:
        self.read.append(name)
        content = hashlib.shake_128(name.encode()).digest(3000)
        yield File(name.encode(), len(content), (content,))

    def wanted(self, name: str) -> LayerRequest:
        job = LayerJob(self.entries(name), 3000)
        if name == "view":
            return LayerRequest(job)
        return LayerRequest(job, Digest.of(name.encode()), (f"/nix/store/{name}",))

    def start_progress(self, made: int, _: int) -> AbstractContextManager[Callable[[int], None]]:
        self.begun.append(made)
        return nullcontext(lambda _: None)

    def run(
        self,
        cache: Cache | None,
        compression: Compression = GZIP,
        place: Callable[[Workspace], Workspace] = lambda given: given,
    ) -> tuple[tuple[Layer, ...], tuple[int, ...]]:
        """The layers, whose blobs are checked, and which were made."""
        (home := self.scratch / "home").mkdir(exist_ok=True)
        with staged(str(home), "image") as given:
            into = place(given)
            wanted = [self.wanted(name) for name in NAMES]
            layers, made = write_missing(
                cache, wanted, compression, into, cores=1, start_progress=self.start_progress
            )
            assert into.blobs() == tuple(sorted(layer.digest.hex for layer in layers))
            for layer in layers:
                self.check(into, layer)
        return layers, made

    def check(self, place: Workspace, layer: Layer) -> None:
        data = Path(place.blob_path(layer.digest)).read_bytes()
        assert (Digest.of(data), len(data)) == (layer.digest, layer.size)

    def files(self, kind: str) -> list[Path]:
        return sorted((self.scratch / "cache" / kind).iterdir())


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(tmp_path)


def test_what_is_at_hand_is_not_read_again(build: Build) -> None:
    first, made = build.run(build.cache)
    assert (made, build.read) == ((0, 1, 2), ["one", "two", "view"])
    again, made = build.run(build.cache)
    assert (again, made, build.read[3:]) == (first, (2,), ["view"])
    assert build.begun == [3, 1]
    assert build.said == []


def test_without_a_cache_all_is_made_and_nothing_kept(build: Build) -> None:
    layers, made = build.run(None)
    assert made == (0, 1, 2)
    assert not (build.scratch / "cache").exists()
    assert build.run(build.cache)[0] == layers


def test_the_images_own_layer_is_not_kept(build: Build) -> None:
    layers, _ = build.run(build.cache)
    kept = sorted(path.name for path in build.files("blobs/sha256"))
    assert kept == sorted(layer.digest.hex for layer in layers[:2])


def test_a_compression_has_layers_of_its_own(build: Build) -> None:
    build.run(build.cache)
    layers, made = build.run(build.cache, Compression.ZSTD)
    assert made == (0, 1, 2)
    assert {layer.media_type for layer in layers} == {Compression.ZSTD.media_type}


def test_blobs_are_shared_and_read_only(build: Build) -> None:
    build.run(build.cache)
    for blob in build.files("blobs/sha256"):
        assert blob.stat().st_mode & 0o777 == 0o444
        assert blob.stat().st_nlink == 1  # the image is gone


def spoil(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def work(path: Path) -> None:
        data = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(change(data))

    return work


def into_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], None]] = {
    "a bit of the blob is another": spoil(
        lambda data: data[:50] + bytes([data[50] ^ 1]) + data[51:]
    ),
    "the blob is cut": spoil(lambda data: data[:-1]),
    "the blob is empty": spoil(lambda _: b""),
    "the blob is longer": spoil(lambda data: data + b"\0"),
    "the blob is a directory": into_directory,
}


def forget_checksums(build: Build) -> None:
    """A cache of which none is noted, as nix2oci left it before there were any."""
    for path in build.files("layers"):
        document = build.cache.layers.read(path.name)
        assert document
        del document["checksum"]
        build.cache.layers.write(path.name, document)


@pytest.mark.parametrize("noted", [True, False], ids=["by checksum", "by digest"])
@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_blob_is_made_anew(name: str, build: Build, *, noted: bool) -> None:
    first, _ = build.run(build.cache)
    if not noted:
        forget_checksums(build)
        assert build.run(build.cache) == (first, (2,))
    (damaged, _) = build.files("blobs/sha256")
    DAMAGE[name](damaged)
    layers, made = build.run(build.cache)
    assert (layers, len(made)) == (first, 2)
    assert build.said[:1] == [f"{damaged} is damaged: its layer is made again"]
    if damaged.is_file():
        assert build.run(build.cache) == (first, (2,))


def test_a_blob_that_is_gone_is_made_anew(build: Build) -> None:
    first, _ = build.run(build.cache)
    build.files("blobs/sha256")[0].unlink()
    layers, made = build.run(build.cache)
    assert (layers, len(made), build.said) == (first, 2, [])
    assert build.run(build.cache) == (first, (2,))


def test_a_damaged_document_means_that_the_layer_is_made(build: Build) -> None:
    """A diff ID cannot be checked against the blob: the seal is what protects it."""
    first, _ = build.run(build.cache)
    path = build.files("layers")[0]
    path.write_bytes(path.read_bytes().replace(b'"diff_id":"sha256:', b'"diff_id":"sha256:0'))
    layers, made = build.run(build.cache)
    assert (layers, len(made)) == (first, 2)
    assert build.said == [f"{path} is damaged and is not used"]


def test_a_cache_that_cannot_be_written_does_no_harm(build: Build) -> None:
    (build.scratch / "cache").touch()
    first, made = build.run(build.cache)
    assert made == (0, 1, 2)
    assert build.said[-1] == (
        f"nothing is kept in the cache at {build.scratch}/cache: Not a directory"
    )
    assert build.run(None)[0] == first


class Full(Workspace):
    """A place whose disk has no room for what could be adopted."""

    def __init__(self, place: Workspace) -> None:
        super().__init__(f"{place.directory}/full", place.what)

    def adopt(self, *_: object) -> bool:
        return False


def test_a_good_blob_that_could_not_be_put_in_place_stays(build: Build) -> None:
    """The disk of the image may be full: whoever writes the layer says so."""
    first, _ = build.run(build.cache)
    kept = build.files("blobs/sha256") + build.files("layers")
    assert build.run(build.cache, place=Full) == (first, (0, 1, 2))
    assert build.files("blobs/sha256") + build.files("layers") == kept
    assert build.said == []


@pytest.mark.parametrize("operation", range(0, 60, 3))
def test_a_kill_at_any_moment_leaves_a_cache_that_is_right(build: Build, operation: int) -> None:
    expected, _ = build.run(None)
    run_with_fault(lambda: build.run(build.cache), kill, operation)
    assert build.run(build.cache)[0] == expected
    assert build.run(build.cache) == (expected, (2,))
    assert build.said == []


def test_a_key_depends_on_what_decides_the_bytes() -> None:
    contents = [Digest.of(b"a"), Digest.of(b"b")]
    keys = {layer_key(digest, compression) for digest in contents for compression in Compression}
    assert len(keys) == 2 * len(Compression)


def test_other_bytes_need_another_format(tmp_path: Path) -> None:
    """When this fails, count `oci.layer.tar.FORMAT` up: kept layers must not pass for new ones."""
    layers, _ = Build(tmp_path).run(None, Compression.NONE)
    assert (FORMAT, layers[0].diff_id.hex[:16]) == (1, "4765629bfc17ac5d")


def test_files_of_others_are_copied(build: Build) -> None:
    """A link would have their owner and mode."""
    build.run(build.cache)
    os.umask(0o077)
    first, made = build.run(build.cache)
    assert made == (2,)
    assert build.run(None)[0] == first
