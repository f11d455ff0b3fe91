"""Work that is done ahead, in threads: several at once, or a little more than was asked for.

The threads are daemons and heed an event, so that nobody waits for one that hangs on a connection;
when all went well they are gone at the end, and a process can be forked.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

_PIECES = 8
"""That are made before they are asked for."""
_GRACE = 1.0
"""Seconds that threads have to end by themselves when their work is called off."""


def ahead(make: Callable[[Event], Iterator[bytes]]) -> Generator[bytes]:
    """The pieces that `make` gives, which a thread makes ahead of who takes them.

    The first is empty: the thread is at work. What `make` raises is raised here. It is given an
    event that is set when the generator is closed early.
    """
    stop, room = Event(), Semaphore(_PIECES)
    pieces: SimpleQueue[bytes | BaseException] = SimpleQueue()

    def work() -> None:
        try:
            for piece in make(stop):
                room.acquire()
                if stop.is_set():
                    return
                if piece:
                    pieces.put(piece)
            pieces.put(b"")
        except BaseException as err:  # noqa: BLE001  # raised again by who takes the pieces
            pieces.put(err)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield b""
        while piece := pieces.get():
            if isinstance(piece, BaseException):
                raise piece
            room.release()
            yield piece
        thread.join()
    finally:
        stop.set()
        room.release()
        thread.join(_GRACE)


def explored(
    starts: Iterable[K],
    find: Callable[[K, Event], T],
    more: Callable[[T], Iterable[K]],
    threads: int,
) -> dict[K, T]:
    """What `find` says of the starts, and of all that `more` says that leads to; several at once.

    The first error ends the others, whose event is set, and is raised.
    """
    stop = Event()
    todo: SimpleQueue[K | None] = SimpleQueue()
    done: SimpleQueue[tuple[K, T] | BaseException] = SimpleQueue()
    crew = [
        Thread(target=_work, args=(find, todo, done, stop), daemon=True) for _ in range(threads)
    ]
    for thread in crew:
        thread.start()
    asked: set[K] = set()
    found: dict[K, T] = {}

    def ask(keys: Iterable[K]) -> None:
        for key in keys:
            if key not in asked:
                asked.add(key)
                todo.put(key)

    try:
        ask(starts)
        while len(found) < len(asked):
            answer = done.get()
            if isinstance(answer, BaseException):
                raise answer
            key, value = answer
            found[key] = value
            ask(more(value))
    finally:
        stop.set()
        for _ in crew:
            todo.put(None)
        for thread in crew:
            thread.join(_GRACE / threads)
    return found


def _work(
    find: Callable[[K, Event], T],
    todo: SimpleQueue[K | None],
    done: SimpleQueue[tuple[K, T] | BaseException],
    stop: Event,
) -> None:
    while (each := todo.get()) is not None and not stop.is_set():
        try:
            done.put((each, find(each, stop)))
        except BaseException as err:  # noqa: BLE001  # raised again by who asked
            done.put(err)
