"""Trying again, with a clock that does not tick."""

from __future__ import annotations

from threading import Event

import pytest
from support.pushing import FakeClock

from nix2oci.host.http.request_error import RequestError
from nix2oci.host.http.retry import CancelledError, Clock, Health, Patience, persist


def work(*outcomes: RequestError | str) -> list[RequestError | str]:
    return list(outcomes)


def run(outcomes: list[RequestError | str], time: FakeClock, stop: Event | None = None) -> str:
    def once() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, RequestError):
            raise outcome
        return outcome

    notes: list[str] = []
    patience = Patience(tries=3, tries_where_alive=5)
    return persist(
        once,
        patience=lambda: patience,
        health=Health(),
        clock=time.clock,
        stop=stop or Event(),
        note=notes.append,
    )


def test_what_goes_well_is_not_waited_for() -> None:
    time = FakeClock()
    assert run(["done"], time) == "done"
    assert time.waited == []


def test_what_is_not_temporary_is_not_tried_again() -> None:
    time = FakeClock()
    with pytest.raises(RequestError) as caught:
        run([RequestError("no"), "done"], time)
    assert str(caught.value) == "no"
    assert time.waited == []


def test_the_last_trouble_has_the_number_of_tries() -> None:
    with pytest.raises(RequestError) as caught:
        run([RequestError(text, temporary=True) for text in "abc"], FakeClock())
    assert str(caught.value) == "c (3 tries)"


def test_nothing_is_tried_after_the_work_was_called_off() -> None:
    stop = Event()
    stop.set()
    with pytest.raises(CancelledError):
        run(["done"], FakeClock(), stop)


def test_waiting_ends_when_the_work_is_called_off() -> None:
    stop = Event()

    class Interrupted(FakeClock):
        def wait(self, event: Event, seconds: float) -> bool:
            event.set()
            return super().wait(event, seconds)

    with pytest.raises(CancelledError):
        run([RequestError("no", temporary=True), "done"], Interrupted(), stop)


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 4.0), (0.5, 4.5), (1.0, 5.0)])
def test_clients_do_not_all_come_back_at_once(chance: float, seconds: float) -> None:
    clock = Clock(lambda: 0.0, lambda *_: False, lambda: chance)
    assert Patience().wait(2, RequestError("no", temporary=True), clock) == seconds


def tries(
    *, others: bool = False, recovered: bool = False, dropped: bool = False
) -> tuple[int, float]:
    """How often a request is tried that never succeeds, and for how many seconds."""
    time, health, count = FakeClock(), Health(), 0
    if recovered:
        health.recovered()

    def once() -> None:
        nonlocal count
        count += 1
        if others:
            health.answered(200)
        raise RequestError("no", temporary=True, dropped=dropped)

    with pytest.raises(RequestError):
        persist(
            once,
            patience=Patience,
            health=health,
            clock=time.clock,
            stop=Event(),
            note=lambda _: None,
        )
    return count, sum(time.waited)


def test_a_registry_that_is_down_is_given_up_after_a_minute() -> None:
    assert tries() == (6, 62.0)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param({"others": True}, id="while other requests succeed"),
        pytest.param({"recovered": True}, id="after others failed and then succeeded"),
        pytest.param({"dropped": True}, id="when a connection was made and closed"),
    ],
)
def test_a_bad_line_is_put_up_with(case: dict[str, bool]) -> None:
    count, seconds = tries(**case)
    assert count == 12
    assert seconds <= 60


def test_who_is_asked_for_fewer_requests_makes_fewer() -> None:
    limits, busy = Patience(), RequestError("busy", temporary=True, status=429)
    assert limits.wait(5, busy, FakeClock().clock, alive=True) == 32.0


def test_progress_begins_the_count_again() -> None:
    time = FakeClock()
    outcomes = work(
        *(RequestError("cut", temporary=True, progress=True) for _ in range(50)), "done"
    )
    assert run(outcomes, time) == "done"
    assert set(time.waited) == {2.0}


def test_a_trouble_that_was_put_up_with_is_not_tried_again_by_others() -> None:
    with pytest.raises(RequestError) as caught:
        run([RequestError("no", temporary=True) for _ in range(3)], FakeClock())
    assert not caught.value.temporary
