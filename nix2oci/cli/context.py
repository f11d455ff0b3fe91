"""What the process was given: the only module that reads the environment, the machine, the streams.

Everything else takes these as values.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from nix2oci.errors import OutputError

if TYPE_CHECKING:
    from datetime import datetime

    from nix2oci.host.http.retry import Clock

_WIDEST_HELP = 100
_NARROWEST_HELP = 50

UNWRITABLE = (OutputError, SystemExit)
"""What is raised where a standard stream cannot be written to, see `open_streams`."""


def arguments() -> Sequence[str]:
    """The words after the program's name."""
    return sys.argv[1:]


def environment() -> dict[str, str]:
    """A copy of the environment."""
    return dict(os.environ)  # noqa: TID251  # this is the one place


def child_environment() -> dict[str, str]:
    """What other programs get of it: nothing that is meant for this one, such as passwords."""
    return {name: value for name, value in environment().items() if not name.startswith("NIX2OCI_")}


def builder_id() -> str | None:
    """Who builds, where GitHub or GitLab say that it is a job of theirs: the workflow, the runner.

    Their variables are believed: whoever runs this could set them.
    """
    env = environment()
    if env.get("GITHUB_ACTIONS") == "true" and env.get("GITHUB_WORKFLOW_REF"):
        return f"{env.get('GITHUB_SERVER_URL', 'https://github.com')}/{env['GITHUB_WORKFLOW_REF']}"
    if env.get("GITLAB_CI") == "true" and env.get("CI_PROJECT_URL") and env.get("CI_RUNNER_ID"):
        return f"{env['CI_PROJECT_URL']}/-/runners/{env['CI_RUNNER_ID']}"
    return None


def user_id() -> int:
    """Who runs this process."""
    return os.geteuid()


def cores() -> int:
    """How many processors this process may use."""
    from nix2oci.host.differences import here  # help needs none

    return here().cores


def now() -> datetime:
    """The time by the clock of this machine, in UTC."""
    from datetime import UTC, datetime

    return datetime.now(UTC)


def clock() -> Clock:
    """The time, and waiting, for what has to be tried again."""
    from nix2oci.host.http.retry import Clock

    return Clock(
        now=lambda: now().timestamp(),
        wait=lambda event, seconds: event.wait(seconds),
        jitter=jitter,
    )


def jitter() -> float:
    """A number from 0 to 1, a different one each time: what is tried again is not tried at once."""
    from secrets import randbelow

    return randbelow(100) / 100


class _Output(io.FileIO):
    """Standard output or error; a failure ends the program as an error of ours, whatever wrote.

    Raises `OutputError`, and `SystemExit` where its reader is gone, since there is nothing to be
    said then. What is still in buffers goes nowhere after that.
    """

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as err:
            number = self.fileno()
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            if isinstance(err, BrokenPipeError):
                raise SystemExit(OutputError.exit_code) from err
            name = "error" if number == sys.stderr.fileno() else "output"
            raise OutputError(f"cannot write to standard {name}: {err.strerror}") from err


def open_streams() -> None:
    """Make sure of the three standard streams: no file gets the number of one that is closed.

    A closed output cannot be written to; what goes to a closed standard error goes nowhere.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            mode = os.O_WRONLY if number == 2 else os.O_RDONLY
            os.set_inheritable(os.open(os.devnull, mode), True)  # noqa: FBT003  # it gets the number
    sys.stdout, sys.stderr = _opened(1), _opened(2)


def _opened(number: int) -> io.TextIOWrapper:
    raw = _Output(number, "w", closefd=False)
    by_line = number != 1 or raw.isatty()
    code = sys.stdout.encoding if sys.stdout else "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(raw), code, "backslashreplace", None, by_line)


def prints_on_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def standard_input() -> BinaryIO:
    """Standard input, for bytes."""
    return sys.stdin.buffer if sys.stdin else io.BytesIO()


def standard_output() -> BinaryIO:
    """Standard output, for bytes."""
    return sys.stdout.buffer


def flush_output() -> None:
    """Write what is still in the buffer of standard output; raises `OutputError`, `SystemExit`."""
    sys.stdout.flush()


def terminal() -> int | None:
    """The descriptor of standard error where that is a terminal."""
    return sys.stderr.fileno() if sys.stderr.isatty() else None


def width() -> int | None:
    """Columns of the terminal that standard output is; None where it is none."""
    if not sys.stdout.isatty():
        return None
    import shutil  # a terminal waits for people

    return shutil.get_terminal_size().columns


def has_colour(*, err: bool) -> bool:
    """Whether standard output, or error, is a terminal that is to have colours (no-color.org)."""
    stream = sys.stderr if err else sys.stdout
    return stream.isatty() and not environment().get("NO_COLOR") and _is_able()


def draws() -> bool:
    """Whether standard error is a terminal on which a line can be drawn again."""
    return sys.stderr.isatty() and _is_able()


def _is_able() -> bool:
    return environment().get("TERM") != "dumb"


def help_width() -> int:
    """Columns for help texts. click would import half of the standard library to find out."""
    try:
        columns = os.get_terminal_size(sys.__stdout__.fileno()).columns if sys.__stdout__ else 80
    except (OSError, ValueError):
        columns = 80
    return max(_NARROWEST_HELP, min(columns, _WIDEST_HELP)) - 2
