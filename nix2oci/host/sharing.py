"""Work that is shared out to several processes, or to threads where none can be forked.

Python's interpreter lock lets one thread at a time run what is not written in C. So workers are
forked, which costs milliseconds, and given one number after the other. Not every system can do
that, and none while other threads run: one of them may hold a lock that nobody opens in the child.

The hard part is the end: a worker must not outlive its parent, a failure in one ends all, and
Ctrl-C is the parent's to answer.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import connection, get_context
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Generic, TypeVar

from nix2oci.errors import OutputError
from nix2oci.host.children import guarded, leave_guard
from nix2oci.host.differences import here

T = TypeVar("T")

OnProgress = Callable[[int], None]
"""Called with how much was done since the last call."""
Work = Callable[[int, OnProgress], T]
"""Makes something of a number, and says how far it is."""

_PATIENCE = 2.0
"""Seconds that threads have to end: each looks up whenever it says how far it is."""
_ENDING = (signal.SIGINT, signal.SIGTERM)


def share_out(
    numbers: Sequence[int],
    work: Work[T],
    workers: int,
    progress: OnProgress,
    *,
    forks: bool,
    purpose: str,
    on_done: Callable[[T], None] = lambda _: None,
) -> dict[int, T]:
    """What `work` makes of each number, begun in their order, up to `workers` at a time.

    `progress` and `on_done` are called in this process, when all workers are there. The first
    failure ends the others and is raised; `OutputError` says that it could not do its `purpose`
    where a worker was killed. `forks`: whether workers may be forked (`Differences.forks`); what
    they make is pickled then.
    """
    made, workers = _Made(progress, on_done), min(workers, len(numbers))
    if workers < 2:
        for number in numbers:
            made.take((number, work(number, progress)))
    elif forks and threading.active_count() == 1:
        _share_with_processes(numbers, work, workers, made, purpose)
    else:
        _share_with_threads(numbers, work, workers, made)
    return made.by_number


def on_all_cores(
    numbers: Sequence[int], make: Callable[[int], T], done: OnProgress, *, purpose: str
) -> dict[int, T]:
    """`share_out` of what says nothing before it is made; `done` is told how many are."""
    return share_out(
        *(numbers, lambda number, _: make(number), here().cores, lambda _: None),
        forks=here().forks,
        purpose=purpose,
        on_done=lambda _: done(1),
    )


_Answer = int | tuple[int, T] | BaseException
"""How much was done, a number with what was made, or what went wrong in a worker."""


class _Made(Generic[T]):
    """What was made so far, by number."""

    def __init__(self, progress: OnProgress, on_done: Callable[[T], None]) -> None:
        self.by_number: dict[int, T] = {}
        self._progress, self._on_done = progress, on_done

    def take(self, answer: _Answer[T]) -> bool:
        """Whether a number is done; raises what went wrong in a worker."""
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, int):
            self._progress(answer)
            return False
        number, one = answer
        self.by_number[number] = one
        self._on_done(one)
        return True


class _NotWanted(Exception):  # noqa: N818  # nobody sees it
    """In a thread: the others failed, or the run is over."""


def _share_with_threads(
    numbers: Sequence[int],
    work: Work[T],
    workers: int,
    made: _Made[T],
) -> None:
    """Have threads work, each at the next number when it is done with the last."""
    answers, over = SimpleQueue[_Answer[T]](), threading.Event()

    def report(done: int) -> None:
        if over.is_set():
            raise _NotWanted
        answers.put(done)

    def one(number: int) -> None:
        try:
            if not over.is_set():
                answers.put((number, work(number, report)))
        except BaseException as err:  # noqa: BLE001  # raised again by the parent
            answers.put(err)

    threads = _threads(numbers, one, workers)
    try:
        for thread in threads:
            thread.start()
        while len(made.by_number) < len(numbers):
            made.take(answers.get())
    finally:
        over.set()
        end = monotonic() + _PATIENCE  # one may wait for a process, which ends with this one
        for thread in threads:
            thread.join(max(0.0, end - monotonic()))


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


def _share_with_processes(
    numbers: Sequence[int],
    work: Work[T],
    workers: int,
    made: _Made[T],
    purpose: str,
) -> None:
    """Give numbers to forked workers, each its next one when it is done with the last."""
    todo = iter(numbers)
    with _forked(work, workers) as lines:
        for line in lines:
            line.send(next(todo))
        while len(made.by_number) < len(numbers):
            ready = set(connection.wait(lines))
            for line in (line for line in lines if line in ready):
                is_done = made.take(_receive(line, purpose))
                if is_done and (following := next(todo, None)) is not None:
                    line.send(following)


def _receive(line: connection.Connection, purpose: str) -> _Answer[T]:
    try:
        answer: _Answer[T] = line.recv()
    except (EOFError, ConnectionError) as err:
        raise OutputError(
            f"cannot {purpose}: a worker process was killed",
            hint="is there enough memory?",
        ) from err
    return answer


@contextmanager
def _forked(work: Work[T], workers: int) -> Iterator[list[connection.Connection]]:
    """Start workers, with a line to each; at the end all of them are gone."""
    fork = get_context("fork")
    lines, processes = [], []
    guards = ExitStack()
    try:
        for _ in range(workers):
            ours, theirs = fork.Pipe()
            lines.append(ours)
            process = fork.Process(target=_work, args=(work, theirs, tuple(lines)), daemon=True)
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
    work: Work[T],
    line: connection.Connection,
    others: Sequence[connection.Connection],
) -> None:
    """A worker's life: numbers in, what is made of them out, until the line is cut.

    The parent's ends of the lines were inherited; while they are open here, no worker would
    notice that the parent is gone. Told to end, a worker leaves its blocks first: it may
    have started a process that has to end, too.
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
                line.send((number, work(number, line.send)))
        except Exception as err:  # noqa: BLE001  # raised again by the parent
            if not isinstance(err, EOFError | ConnectionError):
                line.send(err)
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # it is over in any case
    except (KeyboardInterrupt, ConnectionError):
        return  # the parent is gone, or needs no more
