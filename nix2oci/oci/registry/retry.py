"""Trying again: how often, and how long to wait before.

The hard part is to believe a registry that says when to come back, but not everything it says.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from threading import Event
from typing import TypeVar

from msgspec import Struct

from nix2oci.oci.registry.request_error import RequestError

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
    """How long a registry is put up with."""

    tries: int = 6
    first_wait: float = 2.0
    """Seconds; each following wait is twice as long."""
    longest_wait: float = 60.0
    """Seconds: more is not waited, whoever asks for it."""

    def wait(self, tried: int, error: RequestError, clock: Clock) -> float:
        """Seconds to wait after `tried` tries, the last of which ended with `error`."""
        asked = _asked(error.retry_after, clock.now())
        if asked is not None:
            return min(asked, self.longest_wait)
        if error.at_once and tried == 1:
            return 0
        backoff = self.first_wait * 2.0 ** (tried - 1)
        return min(backoff * (1 + clock.jitter() / 4), self.longest_wait)


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
    patience: Callable[[], Patience],
    clock: Clock,
    stop: Event,
    note: Callable[[str], None],
) -> T:
    """What `work` returns, as soon as it does so without a temporary error.

    `patience` is asked after each try. Raises the last `RequestError`, with the number of tries in
    its words, and `CancelledError` when `stop` is set meanwhile.
    """
    tried = 0
    while True:
        if stop.is_set():
            raise CancelledError
        try:
            return work()
        except RequestError as error:
            tried += 1
            if not error.temporary:
                raise
            limits = patience()
            if tried >= limits.tries:
                error.cause += f" ({tried} tries)" if tried > 1 else ""
                raise
            seconds = limits.wait(tried, error, clock)
            if seconds:
                note(f"{error.cause}; next try in {seconds:.0f} s")
        if seconds and clock.wait(stop, seconds):
            raise CancelledError
