"""Layers of base images in the cache: checked when they are used, and pruned as the others."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from nix2oci.cache.base_layers import keep, take
from nix2oci.cache.bound import items, prune
from nix2oci.cache.directory import Cache
from nix2oci.oci.spec import LAYER, Descriptor

DATA = b"a layer" * 1000
LAYER_OF_BASE = Descriptor.of(LAYER, DATA)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, said: list[str]) -> Cache:
    (tmp_path / "blob").write_bytes(DATA)
    cache = Cache(str(tmp_path / "cache"), 1 << 30, said.append)
    keep(cache, LAYER_OF_BASE, str(tmp_path / "blob"))
    return cache


def blob(cache: Cache) -> Path:
    return Path(cache.path(f"blobs/sha256/{LAYER_OF_BASE.digest.hex}"))


def test_what_was_kept_is_there(cache: Cache, tmp_path: Path) -> None:
    assert take(cache, LAYER_OF_BASE, str(tmp_path / "new"))
    assert (tmp_path / "new").read_bytes() == DATA
    (item,) = items(cache)
    assert (item.blob, item.blob_size, item.paths) == (
        hashlib.sha256(DATA).hexdigest(),
        len(DATA),
        (),
    )


def test_what_was_not_kept_is_not_there(cache: Cache, tmp_path: Path) -> None:
    assert not take(cache, Descriptor.of(LAYER, b"another"), str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_damaged_blob_is_removed(cache: Cache, tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "blob").unlink()
    blob(cache).chmod(0o600)
    blob(cache).write_bytes(b"other")
    assert not take(cache, LAYER_OF_BASE, str(tmp_path / "new"))
    assert said == [f"{blob(cache)} is damaged: the layer is fetched again"]
    assert not blob(cache).exists()
    assert not (tmp_path / "new").exists()


def test_a_blob_that_went_meanwhile_is_not_there(cache: Cache, tmp_path: Path) -> None:
    blob(cache).unlink()
    assert not take(cache, LAYER_OF_BASE, str(tmp_path / "new"))


def test_it_goes_when_the_cache_is_full(cache: Cache) -> None:
    prune(Cache(cache.directory, 0))
    assert items(cache) == ()
    assert not blob(cache).exists()
