"""Layers by several workers: the order given, the first failure raised, nobody left."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.blob_directory import Blobs, endless
from support.own_process import in_own_process
from support.paths import TESTS

from nix2oci.errors import OutputError, StoreError
from nix2oci.model.tree import Directory, Entry, File
from nix2oci.oci.layer.blob import Layer
from nix2oci.oci.layer.compression import Compression
from nix2oci.oci.layer.tar import BLOCK
from nix2oci.oci.layer.workers import LayerJob, write_layers

ALL = list(Compression)


def one_file(name: str, size: int = 10) -> LayerJob:
    content = hashlib.shake_128(name.encode()).digest(size)
    return LayerJob([File(name.encode(), size, (content,))], size)


def failing(error: Exception) -> Iterator[Entry]:
    yield Directory(b"d")
    raise error


@pytest.fixture(autouse=True)
def _nobody_is_left() -> Iterator[None]:
    before = set(threading.enumerate())  # of other tests, some of which may end meanwhile
    yield
    assert multiprocessing.active_children() == []
    assert set(threading.enumerate()) <= before


@pytest.fixture(params=[True, False], ids=["processes", "threads"])
def forks(request: pytest.FixtureRequest) -> bool:
    """Whether workers may be forked, as on Linux, or not, as on a Mac."""
    return bool(request.param)


@pytest.mark.parametrize("compression", ALL)
@pytest.mark.parametrize("cores", [1, 2, 9])
def test_layers_are_answered_in_the_order_given(
    compression: Compression, cores: int, tmp_path: Path, *, forks: bool
) -> None:
    sizes = [10, 3 * BLOCK, 500, BLOCK, 0, 700]
    blobs, done = Blobs(tmp_path), [0]
    layers = write_layers(
        [one_file(f"f{size}", size) for size in sizes],
        compression,
        blobs,
        cores,
        done.append,
        forks=forks,
    )
    tars = [512 + size + -size % 512 + 1024 for size in sizes]
    assert [layer.tar_size for layer in layers] == tars
    assert {layer.digest.hex for layer in layers} == blobs.committed()
    assert sum(done) == sum(tars)


@pytest.mark.parametrize("compression", ALL)
def test_workers_decide_no_byte(compression: Compression, tmp_path: Path, *, forks: bool) -> None:
    sizes = [10, 3 * BLOCK, 0]

    def made(cores: int) -> tuple[Layer, ...]:
        (place := tmp_path / str(cores)).mkdir()
        jobs = [one_file(f"f{size}", size) for size in sizes]
        return write_layers(jobs, compression, Blobs(place), cores, forks=forks)

    one, *others = map(made, (1, 2, 8))
    assert others == [one, one]
    assert [bool(layer.annotations) for layer in one] == [compression.chunking is not None] * 3


def test_a_job_may_have_a_compression_of_its_own(tmp_path: Path) -> None:
    jobs = [one_file("f"), replace(one_file("g"), compression=Compression.CHUNKED_FINE)]
    layers = write_layers(jobs, Compression.GZIP, Blobs(tmp_path), 2, forks=True)
    assert [layer.media_type.rpartition("+")[2] for layer in layers] == ["gzip", "zstd"]


def test_the_heaviest_layer_is_begun_first(tmp_path: Path) -> None:
    begun: list[str] = []

    def noted(name: str) -> Iterator[Entry]:
        begun.append(name)
        yield Directory(name.encode())

    layers = [
        LayerJob(noted(name), estimated_size)
        for name, estimated_size in (("a", 1), ("b", 9), ("c", 5))
    ]
    write_layers(layers, Compression.NONE, Blobs(tmp_path), 1, forks=True)
    assert begun == ["b", "c", "a"]


def test_no_layers_are_no_blobs(tmp_path: Path) -> None:
    assert write_layers([], Compression.GZIP, Blobs(tmp_path), 2, forks=True) == ()
    assert list(tmp_path.iterdir()) == []


def test_equal_layers_are_one_blob_and_two_answers(tmp_path: Path, *, forks: bool) -> None:
    blobs = Blobs(tmp_path)
    one, other = write_layers(
        [one_file("f"), one_file("f")], Compression.GZIP, blobs, 2, forks=forks
    )
    assert one == other
    assert len(blobs.committed()) == 1


@pytest.mark.parametrize("compression", ALL)
def test_the_first_failure_ends_the_other_layers_and_is_raised(
    compression: Compression, tmp_path: Path, *, forks: bool
) -> None:
    error = StoreError("cannot read it: it is gone", hint="build again")
    layers = [LayerJob(endless(), 3), LayerJob(failing(error), 2), LayerJob(endless(), 1)]
    blobs = Blobs(tmp_path)
    with pytest.raises(StoreError) as caught:
        write_layers(layers, compression, blobs, 2, forks=forks)
    assert (str(caught.value), caught.value.hint) == ("cannot read it: it is gone", "build again")
    assert blobs.committed() == set()


def test_a_worker_that_is_ended_leaves_its_blocks_first(tmp_path: Path) -> None:
    """What entries come from, such as another process, is ended with them."""
    (blobs := tmp_path / "blobs").mkdir()
    begun, begin = os.pipe()
    never, _ = os.pipe()

    def waiting() -> Iterator[Entry]:
        try:
            yield Directory(b"d")
            os.write(begin, b"x")
            os.read(never, 1)
        finally:
            (tmp_path / "left").touch()

    def failing() -> Iterator[Entry]:
        yield Directory(b"d")
        os.read(begun, 1)
        raise StoreError("no")

    def write() -> None:
        layers = [LayerJob(waiting(), 2), LayerJob(failing(), 1)]
        with pytest.raises(StoreError):
            write_layers(layers, Compression.NONE, Blobs(blobs), 2, forks=True)

    in_own_process(write)
    assert (tmp_path / "left").exists()
    assert list(blobs.iterdir()) == []


def test_a_full_disk_ends_all_layers(tmp_path: Path, *, forks: bool) -> None:
    layers = [LayerJob(endless(), 1) for _ in range(3)]
    with pytest.raises(OutputError) as caught:
        write_layers(layers, Compression.NONE, Blobs(tmp_path, full=3 * BLOCK), 2, forks=forks)
    assert str(caught.value) == "cannot write it: No space left on device"


def test_an_interrupt_ends_all_layers(tmp_path: Path, *, forks: bool) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    layers = [LayerJob(endless(), 1) for _ in range(3)]
    with pytest.raises(KeyboardInterrupt):
        write_layers(layers, Compression.NONE, Blobs(tmp_path), 2, interrupt, forks=forks)


def test_a_worker_that_is_killed_is_an_error(tmp_path: Path) -> None:
    def killed() -> Iterator[Entry]:
        yield Directory(b"d")
        os.kill(os.getpid(), signal.SIGKILL)

    def write() -> None:
        layers = [LayerJob(endless(), 2), LayerJob(killed(), 1)]
        with pytest.raises(OutputError) as caught:
            write_layers(layers, Compression.NONE, Blobs(tmp_path), 2, forks=True)
        assert str(caught.value) == "cannot write layers: a worker process was killed"
        assert caught.value.hint == "is there enough memory?"

    in_own_process(write)


def test_threads_work_at_the_same_time(tmp_path: Path) -> None:
    together = threading.Barrier(2, timeout=30)

    def waiting() -> Iterator[Entry]:
        together.wait()
        yield Directory(b"d")

    layers = [LayerJob(waiting(), 1) for _ in range(2)]
    assert len(write_layers(layers, Compression.ZSTD, Blobs(tmp_path), 2, forks=False)) == 2


def test_none_is_forked_while_another_thread_runs(tmp_path: Path) -> None:
    """It may hold a lock, which nobody would open in the child."""
    workers: set[int] = set()

    def noted() -> Iterator[Entry]:
        workers.add(os.getpid())
        yield Directory(b"d")

    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    try:
        layers = [LayerJob(noted(), 1) for _ in range(2)]
        write_layers(layers, Compression.NONE, Blobs(tmp_path), 2, forks=True)
    finally:
        over.set()
        other.join()
    assert workers == {os.getpid()}


def test_a_thread_that_waits_for_what_never_comes_does_not_keep_the_others(tmp_path: Path) -> None:
    """It ends with the program, and so does the process that it waits for."""
    before = set(threading.enumerate())
    never, end = os.pipe()

    def waiting() -> Iterator[Entry]:
        yield Directory(b"d")
        os.read(never, 1)

    layers = [LayerJob(waiting(), 2), LayerJob(failing(StoreError("no")), 1)]
    with pytest.raises(StoreError):
        write_layers(layers, Compression.NONE, Blobs(tmp_path), 2, forks=False)
    os.close(end)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)


_PARENT = """
import sys
from pathlib import Path
from support.blob_directory import Blobs, endless
from nix2oci.oci.layer.blob import Compression
from nix2oci.oci.layer.workers import LayerJob, write_layers
layers = [LayerJob(endless(), 1) for _ in range(2)]
told = []
write_layers(layers, Compression.NONE, Blobs(Path(sys.argv[1])), 2,
             lambda n: told or (told.append(n), print("begun", flush=True)),
             forks=sys.argv[2] == "True")
"""


def test_workers_do_not_outlive_a_parent_that_is_killed(tmp_path: Path, *, forks: bool) -> None:
    argv = [sys.executable, "-c", _PARENT, str(tmp_path), str(forks)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=TESTS) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"begun\n"
        parent.kill()
    sizes: list[int] = []
    for _ in range(60):
        time.sleep(0.5)
        sizes.append(sum(path.stat().st_size for path in tmp_path.iterdir()))
        if sizes[-2:-1] == sizes[-1:]:
            break
    assert sizes[-1] == sizes[-2]
