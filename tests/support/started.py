"""A program that runs beside the test, to be interrupted, and that never outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def started(
    argv: Sequence[str | Path], env: Mapping[str, str], cwd: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Start a program whose two streams are pipes; when the block is left, it and its children end.

    It has the default handlers of signals, whatever the tests were started with: under `nohup`
    or as a background job they ignore SIGINT, and what they start would, too.
    """
    with _default_handlers():
        process = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):  # nobody of its group is left
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _default_handlers() -> Iterator[None]:
    """A handler of ours is the default one in a child; only what is ignored is inherited."""
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
