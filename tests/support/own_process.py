"""A part of a test that has to be alone in its process."""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable


def in_own_process(body: Callable[[], None]) -> None:
    """Run it in a child that has no thread but its own; what it raises fails the test.

    Threads that other tests left behind are not in a child that is forked. In one that is killed,
    only the child ends.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there may be threads: that is why
        child = os.fork()
    if child == 0:
        try:
            body()
        except BaseException:  # noqa: BLE001  # whatever it is, the other process says it
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, "it failed, as stderr says"
