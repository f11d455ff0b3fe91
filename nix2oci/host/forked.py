"""Worker processes, forked from this one and given one number after the other.

The hard part is the end: a worker must not outlive its parent, a failure in one ends all, and
Ctrl-C is the parent's to answer.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import connection, get_context
from time import monotonic
from typing import TypeVar

from nix2oci.errors import OutputError
from nix2oci.host.children import guarded, leave_guard
from nix2oci.host.progress import OnProgress

T = TypeVar("T")

Work = Callable[[int, OnProgress], T]
"""Makes something of a number, and says how far it is."""
Answer = int | tuple[int, T] | BaseException
"""How much was done, a number with what was made, or what went wrong in a worker."""

_ENDING = (signal.SIGINT, signal.SIGTERM)
_BETWEEN = 0.1
"""Seconds from one report of a worker to the next: a bar is not drawn more often."""


def share_with_processes(
    numbers: Sequence[int],
    work: Work[T],
    workers: int,
    take: Callable[[Answer[T]], bool],
    purpose: str,
) -> None:
    """Give numbers to forked workers, each its next one when it is done with the last.

    `take` gets what they answer, and says whether that is the end of a number; what it raises ends
    them all. Raises `OutputError`, as `share_out`, where one was killed.
    """
    todo, left = iter(numbers), len(numbers)
    with _forked(work, workers) as lines:
        for line in lines:
            line.send(next(todo))
        while left:
            ready = set(connection.wait(lines))
            for line in (line for line in lines if line in ready):
                if not take(_receive(line, purpose)):
                    continue
                left -= 1
                if (following := next(todo, None)) is not None:
                    line.send(following)


def _receive(line: connection.Connection, purpose: str) -> Answer[T]:
    try:
        answer: Answer[T] = line.recv()
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


@contextmanager
def _seldom(send: OnProgress) -> Iterator[OnProgress]:
    """Reports as they are made, of which sums are sent now and then, and the rest at the end.

    Each that is sent wakes the parent, which needs a core for it that a worker has.
    """
    done, before = 0, monotonic()

    def report(more: int) -> None:
        nonlocal done, before
        done += more
        if (now := monotonic()) - before >= _BETWEEN:
            send(done)
            done, before = 0, now

    yield report
    if done:
        send(done)


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
                with _seldom(line.send) as report:
                    made = work(number, report)
                line.send((number, made))
        except Exception as err:  # noqa: BLE001  # raised again by the parent
            if not isinstance(err, EOFError | ConnectionError):
                line.send(err)
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # it is over in any case
    except (KeyboardInterrupt, ConnectionError):
        return  # the parent is gone, or needs no more
