"""Layers that are sent while others are made, by workers that are forked."""

from __future__ import annotations

import hashlib
import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest
from support.blob_directory import Blobs, endless
from support.fakeregistry import Exchange, error
from support.own_process import in_own_process
from support.pushing import REPOSITORY, Desk

from nix2oci.errors import AuthenticationError
from nix2oci.model.tree import Directory, Entry, File
from nix2oci.oci.layer.blob import Layer
from nix2oci.oci.layer.compression import Compression
from nix2oci.oci.layer.tar import BLOCK
from nix2oci.oci.layer.workers import LayerJob, write_layers
from nix2oci.oci.registry.clients import Clients
from nix2oci.oci.registry.early_uploads import EarlyUploads
from nix2oci.oci.spec import Descriptor, Digest

UPLOADS = r"/blobs/uploads/"
"""Sessions, and what opens them."""


def uploads(
    desk: Desk, directory: Path, *, jobs: int = 2, left_out: frozenset[Digest] = frozenset()
) -> EarlyUploads:
    """To the repository of a desk, of blobs that come to lie in another directory."""
    clients = Clients(desk.access(jobs=jobs))
    clients.of(desk.repository, push=True).meet()
    moved = directory / "moved"
    moved.mkdir(parents=True)
    return EarlyUploads(
        clients, desk.repository, (), lambda digest: str(moved / digest.hex), left_out.__contains__
    )


def layers(
    jobs: list[LayerJob],
    early: EarlyUploads,
    place: Path,
    cores: int,
    forks: bool,  # noqa: FBT001
) -> tuple[Layer, ...]:
    """Make layers as a build does, each of which is sent when it is there."""

    def add(layer: Layer) -> None:
        descriptor = Descriptor(layer.media_type, layer.digest, layer.size)
        early.add(descriptor, str(place / layer.digest.hex))

    place.mkdir()
    return write_layers(
        *(jobs, Compression.GZIP, Blobs(place), cores, lambda _: early.go_on()),
        forks=forks,
        on_layer=add,
    )


def blob(directory: Path, text: str) -> tuple[Descriptor, str]:
    """A blob that is whole, and its file."""
    descriptor = Descriptor.of("a/b", text.encode())
    path = directory / descriptor.digest.hex
    path.write_bytes(text.encode())
    return descriptor, str(path)


def job(name: str, size: int = 3 << 20) -> LayerJob:
    content = hashlib.shake_128(name.encode()).digest(size)
    return LayerJob([File(name.encode(), size, (content,))], size)


def once_there_is(path: Path) -> Iterator[Entry]:
    """A layer that cannot be made before a file is there."""
    yield Directory(b"d")
    for number in range(400):
        if path.exists():
            return
        time.sleep(0.05)
        yield File(b"e%03d" % number, BLOCK, (bytes(BLOCK),))
    raise AssertionError("nothing was sent while this layer was made")


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("forks", [True, False], ids=["processes", "threads"])
def test_a_layer_is_sent_before_the_last_one_is_made(
    desk: Desk, tmp_path: Path, cores: int, *, forks: bool
) -> None:
    arrived = tmp_path / "arrived"

    def note(exchange: Exchange) -> None:
        exchange.proceed()
        arrived.touch()

    def make() -> None:
        with closing(uploads(desk, tmp_path)) as early:
            made = layers(
                [job("first"), LayerJob(once_there_is(arrived), 1)],
                early,
                tmp_path / "b",
                cores,
                forks,
            )
            assert early.finish() == {layer.digest: "sent" for layer in made}

    desk.registry.script("PUT", UPLOADS, note, always=True)
    in_own_process(make)
    assert len(desk.registry.blobs) == 2
    assert desk.registry.manifests == {}


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("forks", [True, False], ids=["processes", "threads"])
def test_a_registry_that_refuses_ends_the_making(
    desk: Desk, tmp_path: Path, cores: int, *, forks: bool
) -> None:
    def make() -> None:
        early = uploads(desk, tmp_path)
        with closing(early), pytest.raises(AuthenticationError) as caught:
            layers([job("first"), LayerJob(endless(), 1)], early, tmp_path / "b", cores, forks)
        assert str(caught.value).startswith(f"cannot push to {desk.repository}: PUT ")
        assert multiprocessing.active_children() == []
        assert threading.active_count() == 1

    desk.registry.script("PUT", UPLOADS, error(403, "DENIED"), always=True)
    in_own_process(make)
    assert desk.registry.blobs == {}


def test_an_upload_that_waits_is_called_off(desk: Desk, tmp_path: Path) -> None:
    """Another image of the run may go there."""
    begun, over = threading.Event(), threading.Event()

    def hold(exchange: Exchange) -> None:
        begun.set()
        over.wait(20)
        exchange.cut()

    desk.registry.script("PUT", UPLOADS, hold)
    early = uploads(desk, tmp_path)
    early.add(*blob(tmp_path, "one"))
    early.go_on()
    begun.wait(20)
    over.set()
    early.close()
    assert len(desk.registry.calls("DELETE", UPLOADS)) == 1
    other = uploads(desk, tmp_path / "other")
    other.add(*blob(tmp_path, "other"))
    assert list(other.finish().values()) == ["sent"]


def test_before_workers_are_forked_there_is_no_thread_left(desk: Desk, tmp_path: Path) -> None:
    """What is on its way arrives, and what waits goes on waiting."""
    before = threading.active_count()
    first, second = Barrier(2), threading.Event()

    def slow(exchange: Exchange) -> None:
        first.wait(20)
        second.wait(20)
        exchange.proceed()

    desk.registry.script("PUT", UPLOADS, slow)
    with closing(uploads(desk, tmp_path, jobs=1)) as early:
        for text in ("one", "two"):
            early.add(*blob(tmp_path, text))
        early.go_on()
        first.wait(20)
        threading.Timer(0.05, second.set).start()
        early.rest()
        assert len(desk.registry.blobs) == 1
        second.wait(20)
        assert threading.active_count() <= before + 2  # connections of the registry
        early.go_on()
        assert list(early.finish().values()) == ["sent", "sent"]


def test_a_blob_that_has_moved_meanwhile_is_found_where_it_is(desk: Desk, tmp_path: Path) -> None:
    with closing(uploads(desk, tmp_path)) as early:
        descriptor, path = blob(tmp_path, "one")
        early.add(descriptor, path)
        Path(path).rename(tmp_path / "moved" / descriptor.digest.hex)
        assert early.finish() == {descriptor.digest: "sent"}


def test_a_blob_is_asked_for_once_and_sent_once(desk: Desk, tmp_path: Path) -> None:
    there, _ = blob(tmp_path, "there")
    desk.registry.blobs[REPOSITORY, str(there.digest)] = b"there"
    with closing(uploads(desk, tmp_path)) as early:
        for text in ("there", "one", "one", "there"):
            early.add(*blob(tmp_path, text))
        assert sorted(early.finish().values()) == ["sent", "there"]
        assert early.finish() == {}
    assert len(desk.registry.calls("HEAD", "/blobs/")) == 2
    assert sum(desk.moved) == len("there") + len("one")


def test_what_the_push_will_see_to_is_left_out(desk: Desk, tmp_path: Path) -> None:
    descriptor, path = blob(tmp_path, "one")
    with closing(uploads(desk, tmp_path, left_out=frozenset({descriptor.digest}))) as early:
        early.add(descriptor, path)
        early.go_on()
        assert early.finish() == {}
    assert desk.registry.calls("HEAD", "/blobs/") == []
