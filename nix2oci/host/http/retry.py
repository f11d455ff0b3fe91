"""Trying again: how often, and how long to wait before.

The hard part is to believe a server that says when to come back, but not everything it says.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from threading import Event, Lock
from typing import TypeVar

from msgspec import Struct

from nix2oci.host.http.request_error import RequestError

T = TypeVar("T")

TEMPORARY = frozenset({408, 429, 499, 500, 502, 503, 504, 522})
"""Statuses of answers after which another try makes sense."""


class Clock(Struct, frozen=True):
    """The time, and waiting."""

    now: Callable[[], float]
    """Seconds since 1970."""
    wait: Callable[[Event, float], bool]
    """Wait for an event, but at most so many seconds; whether it came."""
    jitter: Callable[[], float]
    """From 0 to 1, by chance: clients that failed together should not come back together."""


class Patience(Struct, frozen=True):
    """How long a server is put up with."""

    tries: int = 6
    first_wait: float = 2.0
    """Seconds; each following wait is twice as long."""
    longest_wait: float = 60.0
    """Seconds: more is not waited, whoever asks for it."""
    tries_where_alive: int = 12
    """While the server answers other requests, and so has not failed as a whole."""
    longest_wait_where_alive: float = 5.0
    """Seconds: it is not the server that needs time to recover."""

    def wait(self, tried: int, error: RequestError, clock: Clock, *, alive: bool = False) -> float:
        """Seconds to wait after `tried` tries, the last of which ended with `error`."""
        asked = _asked(error.retry_after, clock.now())
        if asked is not None:
            return min(asked, self.longest_wait)
        if error.at_once and tried == 1:
            return 0
        backoff = self.first_wait * 2.0 ** (tried - 1)
        spared = alive and error.status != 429  # who asks for fewer requests is to get them
        longest = self.longest_wait_where_alive if spared else self.longest_wait
        return min(backoff * (1 + clock.jitter() / 4), longest)


class Health:
    """What the requests of a run say about the line to a server; for any number of threads.

    A request that fails while others succeed is another matter than a server that is down, and
    a run whose requests failed and then succeeded is on a line where that will happen again.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._answers = 0
        self._recovered = False
        self.met = False
        """Whether there was an answer, whatever it was."""

    @property
    def answers(self) -> int:
        """How many requests were answered, other than by a failure or by asking who we are."""
        return self._answers

    def answered(self, status: int) -> None:
        """Take note of an answer."""
        with self._lock:
            self.met = True
            self._answers += status not in TEMPORARY and status != 401

    def recovered(self) -> None:
        """Take note of a request that failed and then succeeded."""
        self._recovered = True

    def is_alive(self, error: RequestError, since: int) -> bool:
        """Whether something else than the server is at fault, `since` so many `answers`."""
        return error.dropped or self._recovered or self._answers > since


def _asked(retry_after: str | None, now: float) -> float | None:
    """What `Retry-After` asks for, in seconds; None for junk and times that are past."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        seconds = parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return seconds if seconds > 0 else None


class CancelledError(Exception):
    """The work was called off."""


def persist(
    work: Callable[[], T],
    *,
    patience: Callable[[], Patience],
    health: Health,
    clock: Clock,
    stop: Event,
    note: Callable[[str], None],
) -> T:
    """What `work` returns, as soon as it does so without a temporary error.

    `patience` is asked after each try. An error with `progress` begins the count again. Raises the
    last `RequestError`, with the number of tries in its words, and `CancelledError` when `stop` is
    set meanwhile.
    """
    tried = since = 0
    while True:
        if stop.is_set():
            raise CancelledError
        try:
            result = work()
        except RequestError as error:
            tried = 1 if error.progress else tried + 1
            since = health.answers if tried == 1 else since
            seconds = _wait(error, tried, patience(), clock, alive=health.is_alive(error, since))
            if seconds >= 1:  # less is not worth a word
                note(f"{error.cause}; next try in {seconds:.0f} s")
        else:
            if tried:
                health.recovered()
            return result
        if seconds and clock.wait(stop, seconds):
            raise CancelledError


def _wait(error: RequestError, tried: int, limits: Patience, clock: Clock, *, alive: bool) -> float:
    """Seconds to wait for the next try; raises `error` where there is none."""
    if not error.temporary:
        raise error
    if tried >= (limits.tries_where_alive if alive else limits.tries):
        error.cause += f" ({tried} tries)" if tried > 1 else ""
        error.temporary = False  # whoever called for this work has no more patience
        raise error
    return limits.wait(tried, error, clock, alive=alive)
