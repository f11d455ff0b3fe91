"""A store's layers are the same bytes with any number of workers, and by another writer of tar."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from support.blob_directory import Blobs
from support.fakestore import FakeStore, Node, Program

from nix2oci.model.closure import PathInfo
from nix2oci.nix.nar import CHUNK
from nix2oci.nix.store import LocalStore, store_layer
from nix2oci.oci.layer.blob import Layer
from nix2oci.oci.layer.compression import Compression
from nix2oci.oci.layer.tar import BLOCK, tar_blocks
from nix2oci.oci.layer.workers import LayerJob, write_layers


def content(size: int, salt: int) -> bytes:
    return (b"%d-%d " % (salt, size) * (size // 4 + 1))[:size]


SIZES = [0, 1, 511, 512, 4096, 4097, CHUNK - 1, CHUNK, CHUNK + 1, BLOCK - 512, BLOCK, 7 * BLOCK + 7]


def infos_of(store: FakeStore) -> list[PathInfo]:
    """Two store objects of many sizes, and a small one."""
    found = []
    for salt in range(2):
        node: dict[bytes, Node] = {
            b"%02d" % number: content(size, salt)
            for number, size in enumerate(SIZES[: len(SIZES) - salt])
        }
        node[b"bin"] = {b"app": Program(content(3 * CHUNK, salt))}
        found.append(store.add(f"app-{salt}", node))
    return [*found, store.add("small-1", b"x")]


def layers_of(
    store: FakeStore,
    infos: list[PathInfo],
    compression: Compression,
    cores: int,
    to: Path,
    *,
    forks: bool,
) -> tuple[Layer, ...]:
    jobs = [LayerJob(store_layer([info], LocalStore(store.root)), info.nar_size) for info in infos]
    to.mkdir()
    blobs = Blobs(to)
    layers = write_layers(jobs, compression, blobs, cores, forks=forks)
    assert blobs.committed() == {layer.digest.hex for layer in layers}
    return layers


@pytest.mark.parametrize("compression", list(Compression))
@pytest.mark.parametrize("forks", [True, False], ids=["processes", "threads"])
def test_layers_are_the_same_with_any_number_of_workers(
    compression: Compression, tmp_path: Path, *, forks: bool
) -> None:
    store = FakeStore(tmp_path)
    infos = infos_of(store)
    by_one, *more = (
        layers_of(store, infos, compression, cores, tmp_path / f"by-{cores}", forks=forks)
        for cores in (1, 2, 8)
    )
    assert more == [by_one, by_one]


@pytest.mark.parametrize("reuse", [0, 1, 3])
def test_a_tar_of_a_store_is_the_same_in_memory_that_is_used_again(
    reuse: int, tmp_path: Path
) -> None:
    store = FakeStore(tmp_path)
    infos = infos_of(store)
    entries = store_layer(infos, LocalStore(store.root))
    data = b"".join(bytes(block) for block in tar_blocks(entries, reuse))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for salt, info in enumerate(infos[:2]):
            for number, size in enumerate(SIZES[: len(SIZES) - salt]):
                file = tar.extractfile(f"{str(info.path)[1:]}/{number:02}")
                assert file is not None
                assert file.read() == content(size, salt)
