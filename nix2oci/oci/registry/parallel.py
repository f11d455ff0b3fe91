"""Several pieces of work at once, in threads that end together, or while something else is done.

The hard part is the end. A failure in one ends all, and Ctrl-C must not wait for a thread that
hangs on a connection: the threads are daemons, which Python does not wait for when it exits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import TypeVar

from nix2oci.host.http.retry import CancelledError

T = TypeVar("T")

_GRACE = 2.0
"""Seconds that threads have to end by themselves after Ctrl-C."""


def run_all(work: Sequence[Callable[[], T]], threads: int, stop: Event) -> list[T]:
    """What each piece of work returns, in their order; begun in that order, `threads` at a time.

    The first failure sets `stop`, which the others are to heed, and is raised when they ended.
    An exception in the caller, such as `KeyboardInterrupt`, does the same but waits only for a
    while.
    """
    todo: SimpleQueue[int] = SimpleQueue()
    for number in range(len(work)):
        todo.put(number)
    done: SimpleQueue[tuple[int, T | BaseException] | None] = SimpleQueue()
    crew = [
        Thread(target=_work, args=(work, todo, done, stop), daemon=True)
        for _ in range(min(threads, len(work)))
    ]
    for thread in crew:
        thread.start()
    try:
        results = dict(_results(done, len(crew)))
    except BaseException:
        stop.set()
        for thread in crew:
            thread.join(_GRACE / len(crew))
        raise
    failures = [result for result in results.values() if isinstance(result, BaseException)]
    causes = [error for error in failures if not isinstance(error, CancelledError)]
    for error in (*causes, *failures):
        raise error
    return [
        result for _, result in sorted(results.items()) if not isinstance(result, BaseException)
    ]


def _work(
    work: Sequence[Callable[[], T]],
    todo: SimpleQueue[int],
    done: SimpleQueue[tuple[int, T | BaseException] | None],
    stop: Event,
) -> None:
    """One thread: piece after piece, as long as there are any and nothing failed."""
    try:
        while not stop.is_set():
            number = todo.get_nowait()
            try:
                done.put((number, work[number]()))
            except BaseException as err:  # noqa: BLE001  # it is raised where the work was asked for
                stop.set()
                done.put((number, err))
    except Empty:
        pass
    finally:
        done.put(None)


def _results(
    done: SimpleQueue[tuple[int, T | BaseException] | None], threads: int
) -> Iterator[tuple[int, T | BaseException]]:
    """Every result as it comes, until all threads have ended."""
    while threads:
        result = done.get()
        if result is None:
            threads -= 1
        else:
            yield result


class Background:
    """Work that is done while its owner does something else, piece after piece, in one thread.

    There is a thread only while there is work: who forks can wait until there is none.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._todo = deque[Callable[[], None]]()
        self._thread: Thread | None = None
        self._is_busy = False
        self._errors: list[BaseException] = []

    def run(self, work: Callable[[], None]) -> None:
        """Have it done when all before it is."""
        with self._lock:
            self._todo.append(work)
            starts, self._is_busy = not self._is_busy, True
        if starts:
            self._join()  # the one before is over, or all but over
            self._thread = Thread(target=self._work, daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait until all is done and no thread is left; raises the first thing that went wrong."""
        self._join()
        errors, self._errors = self._errors, []
        for error in errors:
            raise error

    def _join(self) -> None:
        if self._thread:
            self._thread.join()

    def _work(self) -> None:
        while work := self._next():
            try:
                work()
            except BaseException as err:  # noqa: BLE001  # it is raised where it is waited for
                self._errors.append(err)

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            self._is_busy = bool(self._todo)
            return self._todo.popleft() if self._todo else None
