"""`healthcheck` of nix2oci.yaml, with the keys that a Compose file has for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from nix2oci.config.reading import Location, known, number_of
from nix2oci.config.values import entrypoint
from nix2oci.oci.healthcheck import EXEC, NONE, SHELL, Healthcheck

_NO_CHECK = "none"
_KEYS = ("test", "interval", "timeout", "start-period", "start-interval", "retries")
_INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(("cmd", "command", "exec"), "it is 'test', as in a Compose file"),
    **dict.fromkeys(("disable", "disabled", "none"), "an image without one has healthcheck: none"),
}
# No more digits, so that all of it fits into the 63 bits that engines have for nanoseconds.
_DURATION = re.compile(
    r"(?=.*[1-9])(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?(?:([0-9]{1,6})ms)?"
)
_NANOSECONDS = (3_600_000_000_000, 60_000_000_000, 1_000_000_000, 1_000_000)
_MOST_RETRIES = 1_000_000


def healthcheck(value: object, location: Location) -> Healthcheck:
    """A test with its times, or `none` for no check, be it the base image's."""
    if value == _NO_CHECK:
        return Healthcheck((NONE,))
    if not isinstance(value, Mapping):
        hint = "healthcheck: {test: [PROGRAM, ARGUMENT], interval: 30s}"
        raise location.numbered().expected("a mapping, or none", value, hint)
    found = known(value, location.numbered(), _KEYS, _INSTEAD)
    if "test" not in found:
        raise location.numbered().wrong("'test' is missing: the program that is to be started")

    def read(key: str, reader: Callable[[object, Location], int]) -> int:
        return reader(found[key], location.at(key).numbered()) if key in found else 0

    return Healthcheck(
        (EXEC, *_test(found["test"], location.at("test").numbered())),
        interval=read("interval", _time),
        timeout=read("timeout", _time),
        start_period=read("start-period", _time),
        start_interval=read("start-interval", _time),
        retries=read("retries", _retries),
    )


def _test(value: object, location: Location) -> tuple[str, ...]:
    """A program and its arguments; `CMD` before them is taken for what it is in a Compose file."""
    first = value[0] if isinstance(value, list | tuple) and value else None
    if first == SHELL:
        raise location.wrong(
            f"{SHELL} is for images with a shell",
            'write the program and its arguments, or [sh, -c, "…"] where the image has a shell',
        )
    if first == NONE:
        raise location.wrong("NONE is no program", "an image without one has healthcheck: none")
    found = entrypoint(value[1:] if isinstance(value, list) and first == EXEC else value, location)
    if not found:
        raise location.wrong("there is no program to be started")
    return found


def _time(value: object, location: Location) -> int:
    digits = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not digits:
        number = number_of(value)
        hint = "leave the key out for the engine's default" if number == 0 else None
        hint = f"with its unit: {number}s, {number}m or {number}ms" if number else hint
        raise location.expected("a time such as 30s, 1m30s or 500ms", value, hint)
    counts = (int(count or 0) for count in digits.groups())
    return sum(count * size for count, size in zip(counts, _NANOSECONDS, strict=True))


def _retries(value: object, location: Location) -> int:
    number = value if isinstance(value, int) and not isinstance(value, bool) else 0
    if not 1 <= number <= _MOST_RETRIES:
        raise location.expected(f"a number from 1 to {_MOST_RETRIES}", value)
    return number


def healthcheck_from_flag(given: Sequence[str]) -> object:
    """A program and its arguments, or `none` alone."""
    return _NO_CHECK if list(given) == [_NO_CHECK] else {"test": list(given)}
