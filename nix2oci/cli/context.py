"""What the process was given: the only module that reads the environment, the machine, the streams.

Everything else takes these as values.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from datetime import datetime

_WIDEST_HELP = 100
_NARROWEST_HELP = 50


def arguments() -> Sequence[str]:
    """The words after the program's name."""
    return sys.argv[1:]


def environment() -> dict[str, str]:
    """A copy of the environment."""
    return dict(os.environ)  # noqa: TID251  # this is the one place


def child_environment() -> dict[str, str]:
    """What other programs get of it: nothing that is meant for this one, such as passwords."""
    return {name: value for name, value in environment().items() if not name.startswith("NIX2OCI_")}


def user_id() -> int:
    """Who runs this process."""
    return os.geteuid()


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def now() -> datetime:
    """The time by the clock of this machine, in UTC."""
    from datetime import UTC, datetime

    return datetime.now(UTC)


def jitter() -> float:
    """A number from 0 to 1, a different one each time: what is tried again is not tried at once."""
    from secrets import randbelow

    return randbelow(100) / 100


def standard_output() -> BinaryIO:
    """Standard output, for bytes."""
    return sys.stdout.buffer


def flush_output() -> None:
    """Write what is still in the buffer of standard output; raises `BrokenPipeError`."""
    sys.stdout.flush()


def discard_output() -> None:
    """Lead standard output nowhere: what is in its buffer has to go somewhere at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def terminal() -> int | None:
    """The descriptor of standard error where that is a terminal."""
    return sys.stderr.fileno() if sys.stderr.isatty() else None


def help_width() -> int:
    """Columns for help texts. click would import half of the standard library to find out."""
    try:
        columns = os.get_terminal_size(sys.__stdout__.fileno()).columns if sys.__stdout__ else 80
    except (OSError, ValueError):
        columns = 80
    return max(_NARROWEST_HELP, min(columns, _WIDEST_HELP)) - 2
