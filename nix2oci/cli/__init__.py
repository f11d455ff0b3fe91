"""The command line: the only room that prints, reads the environment or exits.

This file is what every start of the program loads, so it answers `--help` alone; `app` has the
rest. It also says what an interrupt means, from the first moment on.
"""

from __future__ import annotations

import gc
import os
import signal
import sys

TYPE_CHECKING = False  # of `typing`, which takes longer to load than all else that --help needs
if TYPE_CHECKING:
    from collections.abc import Callable

_INTERRUPTED = 130

_NEW_OBJECTS = 50_000
"""After so many more Python looks for circles: a start makes as many objects, and all of them stay.
With Python's 700 that took 7 % of an unchanged build."""

_interrupts: list[int] = []
"""The signals that came, each of which raised `KeyboardInterrupt` somewhere. That may have become
anything, for example in the middle of an import; so whatever a run ends with counts as this."""


def _interrupt(number: int, _: object) -> None:
    """Let SIGTERM end the program as Ctrl-C does: children ended, nothing half-written left."""
    _interrupts.append(number)
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line and exit."""
    code = _INTERRUPTED
    gc.set_threshold(_NEW_OBJECTS)
    try:
        _catch_signals(_interrupt)
        code = _run()
    except (KeyboardInterrupt, Exception):
        if not _interrupts:
            raise
        _say_interrupted()
    # There is nothing left to interrupt but the way out, which tidies up, and where an exception
    # is a traceback.
    _catch_signals(signal.SIG_IGN)
    gc.freeze()  # or it would look for circles in all that goes
    sys.exit(code)


def _say_interrupted() -> None:
    """Without anything of ours, which may be half loaded."""
    try:
        os.write(2, b"interrupted\n")
    except OSError:
        return  # it is closed


def _catch_signals(handler: Callable[[int, object], None] | signal.Handlers) -> None:
    """What somebody ignores for us, as nohup does, stays ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _run() -> int:
    if sys.argv[1:] in (["--help"], ["-h"], ["help"]) and sys.stdout:
        from nix2oci.cli.help import HELP

        try:
            print(HELP, flush=True)  # noqa: T201  # the command line prints, here without click
        except OSError:
            pass  # said below, as everywhere
        else:
            os._exit(0)  # there is nothing to tidy up, which takes as long as all the rest

    from nix2oci.cli.app import run
    from nix2oci.cli.context import open_streams

    open_streams()
    return run(_interrupts)
