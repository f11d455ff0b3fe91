"""Work that is shared out; `tests/oci/layer/test_workers.py` has how it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable

import pytest
from support.own_process import in_own_process

from nix2oci.errors import OutputError
from nix2oci.host.progress import OnProgress
from nix2oci.host.sharing import share_out


def square(number: int, report: OnProgress) -> int:
    report(1)
    return number * number


@pytest.mark.parametrize("workers", [0, 1, 2, 9])
@pytest.mark.parametrize("forks", [True, False], ids=["processes", "threads"])
def test_each_number_is_done_once(workers: int, *, forks: bool) -> None:
    told, done = [0], list[int]()
    made = share_out(
        range(5), square, workers, told.append, forks=forks, purpose="x", on_done=done.append
    )
    assert made == {0: 0, 1: 1, 2: 4, 3: 9, 4: 16}
    assert (sum(told), sorted(done)) == (5, [0, 1, 4, 9, 16])


def test_nothing_to_do_makes_nothing() -> None:
    assert share_out((), square, 2, print, forks=True, purpose="x") == {}


def test_a_worker_that_is_killed_is_said_with_what_it_was_for() -> None:
    def killed(number: int, _: Callable[[int], None]) -> int:
        if multiprocessing.parent_process():
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    def shared() -> None:
        with pytest.raises(OutputError, match=r"^cannot plan layers: a worker process was killed$"):
            share_out((1, 2), killed, 2, print, forks=True, purpose="plan layers")

    in_own_process(shared)
