"""Trying again, with a clock that does not tick."""

from __future__ import annotations

from threading import Event

import pytest
from support.pushing import FakeClock

from nix2oci.oci.registry.request_error import RequestError
from nix2oci.oci.registry.retry import CancelledError, Clock, Patience, persist


def work(*outcomes: RequestError | str) -> list[RequestError | str]:
    return list(outcomes)


def run(outcomes: list[RequestError | str], time: FakeClock, stop: Event | None = None) -> str:
    def once() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, RequestError):
            raise outcome
        return outcome

    notes: list[str] = []
    return persist(once, lambda: Patience(tries=3), time.clock, stop or Event(), notes.append)


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
