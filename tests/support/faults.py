"""A process that is killed, or whose disk is full, at exactly one of its operations on files.

The interpreter announces every operation on files to audit hooks, which may raise; a hook cannot
be removed again, so all of this happens in a forked child.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable

_OPERATIONS = frozenset(
    {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir"}
)

DONE, FAILED, BROKEN = 0, 8, 99


def kill(_: str) -> None:
    """The fault of a process that gets SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)


def disk_full(event: str) -> None:
    """The fault of a disk that is full: only what takes no space still works."""
    if event in {"open", "os.mkdir", "os.rename"}:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt(_: str) -> None:
    """The fault of a user who types Ctrl-C."""
    raise KeyboardInterrupt


def run_with_fault(work: Callable[[], object], fault: Callable[[str], None], operation: int) -> int:
    """Run `work` in a child; its operation of that number, counted from 0, has the fault.

    The answer is 0 when it ended well (the fault did not come, or did no harm), the exit code of
    the error that it raised, 130 after an interrupt, or minus the number of the signal.
    """
    child = os.fork()
    if child == 0:
        os._exit(_child(work, fault, operation))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _child(work: Callable[[], object], fault: Callable[[str], None], operation: int) -> int:
    count = -1
    me = os.getpid()
    working = True

    def hook(event: str, _: object) -> None:
        nonlocal count
        if working and event in _OPERATIONS and os.getpid() == me:
            count += 1
            if count == operation:
                fault(event)

    sys.addaudithook(hook)
    try:
        work()
    except KeyboardInterrupt:
        return 130
    except Exception as err:  # noqa: BLE001  # the parent judges it
        return int(getattr(err, "exit_code", BROKEN))
    finally:
        working = False  # what is measured is written when the process ends
    return DONE if count < operation else DONE_WITH_FAULT


DONE_WITH_FAULT = 1
"""The fault came and `work` ended well all the same."""
