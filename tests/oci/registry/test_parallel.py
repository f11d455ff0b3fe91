"""Several pieces of work at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Barrier, Event
from threading import enumerate as all_threads

import pytest

from nix2oci.host.http.retry import CancelledError
from nix2oci.oci.registry.parallel import Background, run_all


@pytest.mark.parametrize("threads", [1, 2, 5, 50])
def test_results_come_in_the_order_of_the_work(threads: int) -> None:
    def number(value: int) -> int:
        return value

    work = [partial(number, value) for value in range(20)]
    assert run_all(work, threads, Event()) == list(range(20))


def test_no_work_is_no_trouble() -> None:
    assert run_all(list[Callable[[], int]](), 4, Event()) == []


def test_a_failure_ends_all_and_is_raised() -> None:
    stop, begun = Event(), list[int]()

    def fail() -> None:
        raise ValueError("this one")

    def begin() -> None:
        begun.append(1)

    with pytest.raises(ValueError, match="this one"):
        run_all([fail, begin, begin], 1, stop)
    assert begun == []
    assert stop.is_set()


def test_a_failure_counts_more_than_those_who_stopped_for_it() -> None:
    stop, both = Event(), Barrier(2)

    def stopped() -> None:
        both.wait()
        stop.wait()
        raise CancelledError

    def fail() -> None:
        both.wait()
        raise ValueError("this one")

    with pytest.raises(ValueError, match="this one"):
        run_all([stopped, fail], 2, stop)


def test_work_in_the_background_is_done_in_its_order_and_leaves_no_thread() -> None:
    background, done, before = Background(), list[int](), set(all_threads())
    for round_ in range(3):
        for number in range(5):
            background.run(partial(done.append, number))
        background.wait()
        assert done == [*range(5)] * (round_ + 1)
        assert set(all_threads()) <= before


def test_work_that_fails_in_the_background_is_told_once_where_it_is_waited_for() -> None:
    background, done = Background(), list[int]()

    def fail() -> None:
        raise ValueError("this one")

    background.run(fail)
    background.run(partial(done.append, 1))
    with pytest.raises(ValueError, match="this one"):
        background.wait()
    background.wait()
    assert done == [1]
