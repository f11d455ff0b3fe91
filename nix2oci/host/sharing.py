"""Work that is shared out to several processes, or to threads where none can be forked.

Python's interpreter lock lets one thread at a time run what is not written in C. So workers are
forked (`forked`), which costs milliseconds. Not every system can do that, and none while other
threads run: one of them may hold a lock that nobody opens in the child.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from nix2oci.host.differences import here
from nix2oci.host.progress import OnProgress

if TYPE_CHECKING:
    from nix2oci.host.forked import Answer, Work

T = TypeVar("T")

_PATIENCE = 2.0
"""Seconds that threads have to end: each looks up whenever it says how far it is."""


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
        from nix2oci.host.forked import share_with_processes  # noqa: PLC0415  # start-up counts

        share_with_processes(numbers, work, workers, made.take, purpose)
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


class _Made(Generic[T]):
    """What was made so far, by number."""

    def __init__(self, progress: OnProgress, on_done: Callable[[T], None]) -> None:
        self.by_number: dict[int, T] = {}
        self._progress, self._on_done = progress, on_done

    def take(self, answer: Answer[T]) -> bool:
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
    answers: SimpleQueue[Answer[T]] = SimpleQueue()
    over = threading.Event()

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
