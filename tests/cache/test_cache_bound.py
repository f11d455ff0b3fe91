"""What goes when a cache is too full: the least recently used, and no more than that takes."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.faults import kill, run_with_fault

from nix2oci.cache.bound import clear, items, prune, size
from nix2oci.cache.directory import Cache
from nix2oci.errors import OutputError
from nix2oci.host.scratch import lock, scratch_directory
from nix2oci.oci.spec import Digest

LONG_AGO = 1_000_000_000


@dataclass(frozen=True)
class Kept:
    """A layer that is kept, or facts where it has no blob; `used` in seconds."""

    name: str
    used: int
    blob: bytes = b""


def fill(cache: Cache, kept: Sequence[Kept]) -> None:
    assert cache.prepare()
    for one in kept:
        documents = cache.layers if one.blob else cache.facts
        document: dict[str, object] = {"fact": 1}
        if one.blob:
            digest = Digest.of(one.blob)
            document = {"digest": str(digest), "paths": ["/nix/store/x"]}
            Path(cache.path(f"blobs/sha256/{digest.hex}")).write_bytes(one.blob)
        documents.write(one.name, document)
        os.utime(os.path.join(documents.directory, one.name), (one.used, one.used))


def held(cache: Cache) -> int:
    """Bytes of everything that is kept, counted by the file system alone."""
    files = (path for path in Path(cache.directory).rglob("*") if path.is_file())
    return sum(file.stat().st_size for file in files if file.name not in {"lock", "CACHEDIR.TAG"})


def names(cache: Cache) -> set[str]:
    return {os.path.basename(item.name) for item in items(cache)}


KEPT = st.lists(
    st.builds(
        Kept,
        st.text("abcdef", min_size=1, max_size=4),
        st.integers(LONG_AGO, LONG_AGO + 5),
        st.sampled_from([b"", b"x" * 100, b"y" * 1000, b"z" * 5000]),
    ),
    max_size=8,
    unique_by=lambda one: one.name,
)


@given(kept=KEPT, limit=st.integers(0, 8000))
def test_the_rest_is_within_the_bound_and_used_later(
    kept: list[Kept], limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = Cache(str(tmp_path_factory.mktemp("cache")), limit)
    fill(cache, kept)
    before = items(cache)
    assert size(before) == held(cache)
    gone = prune(cache)
    after = items(cache)
    assert held(cache) == size(after) <= limit
    assert (*gone, *after) == before, "the oldest go, the others stay, in order"
    if gone:
        assert size((gone[-1], *after)) > limit, "one more than needed went"
    assert all(item.blob_size for item in after if item.blob), "a blob went before its layer"


def test_a_blob_that_two_layers_are_counts_once(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"), 1500)
    fill(cache, [Kept("old", LONG_AGO, b"x" * 1000), Kept("new", LONG_AGO + 1, b"x" * 1000)])
    assert prune(cache) == ()
    assert names(cache) == {"old", "new"}
    (gone,) = prune(replace(cache, limit=1200))
    assert gone.name == "layers/old"
    assert held(cache) > 1000, "the blob of the other went"


def test_what_was_read_stays(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"), 1500)
    fill(cache, [Kept("a", LONG_AGO, b"x" * 1000), Kept("b", LONG_AGO + 1, b"y" * 1000)])
    cache.layers.read("a")
    prune(cache)
    assert names(cache) == {"a"}


def left_by_a_kill(cache: Cache) -> Path:
    """What a build leaves that is killed while it puts a blob and a document into the cache."""
    left = Path(cache.path("blobs/sha256/.nix2oci-0123456789abcdef"))
    with scratch_directory(cache.path("blobs/sha256")) as directory:
        shutil.copytree(directory, left)
    (left / "blob").write_bytes(b"left")
    Path(cache.path("layers/.new-1")).write_bytes(b"left")
    return left


def files(cache: Cache) -> set[str]:
    return {str(path.relative_to(cache.directory)) for path in Path(cache.directory).rglob("*")}


def test_what_a_killed_build_left_goes_with_the_next(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"), 10**6)
    fill(cache, [Kept("a", LONG_AGO, b"x")])
    prune(cache)
    before = files(cache)
    left_by_a_kill(cache)
    prune(cache)
    assert files(cache) == before


def test_what_another_build_is_writing_stays(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"), 10**6)
    fill(cache, [Kept("a", LONG_AGO, b"x")])
    left_by_a_kill(cache)
    unfinished = Path(cache.path("layers/.new-1"))
    with unfinished.open("rb") as file, scratch_directory(cache.path("blobs/sha256")) as directory:
        lock(file.fileno())
        prune(cache)
        assert (unfinished.exists(), Path(directory).exists()) == (True, True)


@pytest.mark.parametrize(("age", "stays"), [(10, True), (7200, False)], ids=["young", "old"])
def test_a_blob_that_no_layer_names_goes_after_an_hour(
    age: int, tmp_path: Path, *, stays: bool
) -> None:
    cache = Cache(str(tmp_path / "cache"), 0)
    fill(cache, [Kept("a", LONG_AGO, b"x")])
    blob = Path(cache.path(f"blobs/sha256/{'0' * 64}"))
    blob.write_bytes(b"left")
    now = blob.stat().st_mtime
    os.utime(blob, (now - age, now - age))
    prune(cache)
    assert blob.exists() == stays


def test_one_removes_at_a_time(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"), 0)
    fill(cache, [Kept("a", LONG_AGO, b"x")])
    with open(cache.path("lock"), "wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert prune(cache, wait=False) == ()
    assert len(prune(cache, wait=False)) == 1


@pytest.mark.parametrize("operation", range(14))
def test_a_kill_leaves_no_layer_without_its_blob(tmp_path: Path, operation: int) -> None:
    cache = Cache(str(tmp_path / "cache"), 1500)
    fill(cache, [Kept(name, LONG_AGO + n, name.encode() * 1000) for n, name in enumerate("abc")])
    run_with_fault(lambda: prune(cache), kill, operation)
    assert all(item.blob_size for item in items(cache))
    prune(cache)
    assert names(cache) == {"c"}


def test_a_document_that_names_another_file_removes_only_itself(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    cache = Cache(str(tmp_path / "cache"), 0)
    fill(cache, [Kept("a", LONG_AGO, b"x")])
    cache.layers.write("b", {"digest": "sha256:../../../mine"})
    prune(cache)
    assert names(cache) == set()
    assert (tmp_path / "mine").exists()


def test_clear_removes_all_and_the_directory(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"), 10)
    fill(cache, [Kept("a", LONG_AGO, b"x"), Kept("b", LONG_AGO)])
    assert len(clear(cache)) == 2
    assert os.listdir(tmp_path) == []
    assert clear(cache) == ()


def test_clear_keeps_what_is_not_its_own(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path), 10)
    fill(cache, [Kept("a", LONG_AGO, b"x")])
    (tmp_path / "mine").touch()
    clear(cache)
    assert os.listdir(tmp_path) == ["mine"]


def test_clear_says_what_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "layers").touch()
    with pytest.raises(OutputError) as raised:
        clear(Cache(str(tmp_path), 10))
    assert str(raised.value) == f"cannot clear the cache at {tmp_path}: Not a directory"


def test_where_there_is_no_cache_nothing_is_made(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"), 10)
    assert (items(cache), prune(cache), clear(cache)) == ((), (), ())
    assert os.listdir(tmp_path) == []
