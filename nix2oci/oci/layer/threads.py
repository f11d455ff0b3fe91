"""Threads that work on a layer while it is read: some at once, or one after the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Executor

P = TypeVar("P")
T = TypeVar("T")


def pool_of(threads: int) -> AbstractContextManager[Executor | None]:
    """So many threads; None of them where that is 0."""
    if not threads:
        return nullcontext()
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  # start-up counts

    return ThreadPoolExecutor(threads)


def in_order(pool: Executor | None) -> AbstractContextManager[Executor | None]:
    """A thread beside a pool, which does one thing after the other: a hash is of all in order."""
    return pool_of(1 if pool else 0)


def begin(pool: Executor | None, work: Callable[[P], T], piece: P) -> Callable[[], T]:
    """Do it in the pool, or here and now; what has the answer, and waits for it."""
    if pool:
        return pool.submit(work, piece).result
    done = work(piece)
    return lambda: done
