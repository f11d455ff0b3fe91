"""Several layers at once, each in a process of its own where that can be.

Reading thousands of small files keeps Python's interpreter lock busy, so threads would take turns
at it, though not at compressing. Workers are forked, which costs milliseconds, and given one layer
after the other, the heaviest first. Not every system can do that, and none while other threads run:
one of them may hold a lock that nobody opens in the child. Then workers are threads.

The hard part is the end: a worker must not outlive its parent, a failure in one ends all, and
Ctrl-C is the parent's to answer.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from multiprocessing import connection, get_context
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import OutputError
from nix2oci.host.children import guarded, leave_guard
from nix2oci.model.tree import Entry
from nix2oci.oci.layer.blob import Layer, Out, write_layer
from nix2oci.oci.layer.compression import Compression
from nix2oci.oci.spec import Digest

_PATIENCE = 2.0
"""Seconds that threads have to end: each looks up whenever a block of its layer is done."""
_ENDING = (signal.SIGINT, signal.SIGTERM)


class Blob(Out, Protocol):
    """A blob on its way into an image."""

    def commit(self, digest: Digest, size: int) -> None: ...


class Blobs(Protocol):
    """A place in the file system that takes blobs, from several processes at once."""

    def new_blob(self) -> AbstractContextManager[Blob]: ...


class LayerJob(Struct, frozen=True):
    """A layer to write; `entries` is read once, `estimated_size` is about its size in bytes."""

    entries: Iterable[Entry]
    estimated_size: int
    slimmed: Callable[[], str] | None = None
    """Says what the entries were, once they are used up (`Layer.slimmed`)."""
    compression: Compression | None = None
    """Its own; None: that of the layers that it is written with."""


OnProgress = Callable[[int], None]
"""Called with the bytes of tar that were done since the last call."""


def write_layers(
    layers: Sequence[LayerJob],
    compression: Compression,
    blobs: Blobs,
    cores: int,
    progress: OnProgress = lambda _: None,
    *,
    forks: bool,
) -> tuple[Layer, ...]:
    """Write layers as blobs, up to `cores` at a time; answer in the order given.

    The first failure ends the others and is raised. Nothing but how long it takes depends on
    `cores`, and on `forks`: whether workers may be forked (`Differences.forks`).
    """
    share = sum(layer.estimated_size for layer in layers) / cores

    def write(number: int, report_bytes: OnProgress) -> Layer:
        # Threads hinder each other a little; they help where the others would wait for one layer.
        threads = cores if layers[number].estimated_size > share else 0
        with _pool(threads) as pool, blobs.new_blob() as blob:
            stored_as = layers[number].compression or compression
            layer = _write(layers[number].entries, stored_as, blob, pool, report_bytes)
            blob.commit(layer.digest, layer.size)
            slimmed = layers[number].slimmed
            return replace(layer, slimmed=slimmed()) if slimmed else layer

    heaviest_first = sorted(range(len(layers)), key=lambda number: -layers[number].estimated_size)
    if min(cores, len(layers)) < 2:
        written = {number: write(number, progress) for number in heaviest_first}
    else:
        alone = forks and threading.active_count() == 1
        share_out = _share_with_processes if alone else _share_with_threads
        written = share_out(heaviest_first, write, min(cores, len(layers)), progress)
    return tuple(written[number] for number in range(len(layers)))


def _write(
    entries: Iterable[Entry],
    compression: Compression,
    out: Out,
    pool: ThreadPoolExecutor | None,
    progress: OnProgress,
) -> Layer:
    if compression.chunking is None:
        return write_layer(entries, compression, out, pool, progress)
    from nix2oci.oci.layer.chunked import write_chunked_layer  # noqa: PLC0415  # few layers are

    return write_chunked_layer(entries, compression.chunking, out, pool, progress)


def _pool(threads: int) -> AbstractContextManager[ThreadPoolExecutor | None]:
    return ThreadPoolExecutor(threads) if threads else nullcontext()


Write = Callable[[int, OnProgress], Layer]
"""Write the layer of a number."""
_Answer = int | tuple[int, Layer] | BaseException
"""Bytes that were done, a number with its layer, or what went wrong in a worker."""


class _NotWanted(Exception):  # noqa: N818  # nobody sees it
    """In a thread: the others failed, or the run is over."""


def _share_with_threads(
    numbers: Sequence[int], write: Write, workers: int, progress: OnProgress
) -> dict[int, Layer]:
    """Have threads write layers, each the next one when it is done with the last."""
    answers, over = SimpleQueue[_Answer](), threading.Event()

    def report_bytes(done: int) -> None:
        if over.is_set():
            raise _NotWanted
        answers.put(done)

    def one(number: int) -> None:
        try:
            if not over.is_set():
                answers.put((number, write(number, report_bytes)))
        except BaseException as err:  # noqa: BLE001  # raised again by the parent
            answers.put(err)

    threads = _threads(numbers, one, workers)
    written: dict[int, Layer] = {}
    try:
        for thread in threads:
            thread.start()
        while len(written) < len(numbers):
            _take(answers.get(), written, progress)
    finally:
        over.set()
        end = monotonic() + _PATIENCE  # one may wait for a process, which ends with this one
        for thread in threads:
            thread.join(max(0.0, end - monotonic()))
    return written


def _threads(
    numbers: Sequence[int], one: Callable[[int], None], workers: int
) -> list[threading.Thread]:
    """Threads that are to do one number after the other, none of which two of them do."""
    todo = SimpleQueue[int]()
    for number in numbers:
        todo.put(number)

    def work() -> None:
        with suppress(Empty):
            while True:
                one(todo.get_nowait())

    return [threading.Thread(target=work, daemon=True) for _ in range(workers)]


def _take(answer: _Answer, written: dict[int, Layer], progress: OnProgress) -> bool:
    """Whether it was a layer; raises what went wrong in a worker."""
    if isinstance(answer, BaseException):
        raise answer
    if isinstance(answer, int):
        progress(answer)
        return False
    number, layer = answer
    written[number] = layer
    return True


def _share_with_processes(
    numbers: Sequence[int], write: Write, workers: int, progress: OnProgress
) -> dict[int, Layer]:
    """Give numbers to forked workers, each its next one when it is done with the last."""
    todo = iter(numbers)
    written: dict[int, Layer] = {}
    with _forked(write, workers) as lines:
        for line in lines:
            line.send(next(todo))
        while len(written) < len(numbers):
            ready = set(connection.wait(lines))
            for line in (line for line in lines if line in ready):
                is_layer = _take(_receive(line), written, progress)
                if is_layer and (following := next(todo, None)) is not None:
                    line.send(following)
    return written


def _receive(line: connection.Connection) -> _Answer:
    try:
        answer: _Answer = line.recv()
    except (EOFError, ConnectionError) as err:
        raise OutputError(
            "cannot write layers: a worker process was killed",
            hint="is there enough memory?",
        ) from err
    return answer


@contextmanager
def _forked(write: Write, workers: int) -> Iterator[list[connection.Connection]]:
    """Start workers, with a line to each; at the end all of them are gone."""
    fork = get_context("fork")
    lines, processes = [], []
    guards = ExitStack()
    try:
        for _ in range(workers):
            ours, theirs = fork.Pipe()
            lines.append(ours)
            process = fork.Process(target=_work, args=(write, theirs, tuple(lines)), daemon=True)
            with _signals_held():
                process.start()
                processes.append(process)
            guards.enter_context(guarded(process.pid or 0))
            theirs.close()
        yield lines
    finally:
        for line in lines:
            line.close()
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        guards.close()


@contextmanager
def _signals_held() -> Iterator[None]:
    """Keep the signals that end the program waiting; what is forked meanwhile begins like that.

    Or a signal might find the parent's handler in a worker that has just begun.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(
    write: Write,
    line: connection.Connection,
    others: Sequence[connection.Connection],
) -> None:
    """A worker's life: numbers in, layers out, until the line is cut.

    The parent's ends of the lines were inherited; while they are open here, no worker would
    notice that the parent is gone. Told to end, a worker leaves its blocks first: entries may
    come from a process that has to end, too.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        try:
            leave_guard()  # before a signal can come: it would be lost in what goes away there
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
            for other in others:
                other.close()
            while True:
                number = line.recv()
                line.send((number, write(number, line.send)))
        except Exception as err:  # noqa: BLE001  # raised again by the parent
            if not isinstance(err, EOFError | ConnectionError):
                line.send(err)
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # it is over in any case
    except (KeyboardInterrupt, ConnectionError):
        return  # the parent is gone, or needs no more
