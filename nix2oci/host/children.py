"""No child outlives this process by more than a few seconds, even when that is killed.

Who is killed by SIGKILL can end nobody. A guard can, a shell that reads from a pipe whose other
end this process alone has: when that end is gone, the guard ends all children that it was told of.
It asks as a user would, several times, since a child may be busy, and then ends them.
"""

from __future__ import annotations

import atexit
import errno
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import IO, TypedDict, Unpack

_SHELL = "/bin/sh"
_PATIENCE = 0.5
_ENDING = (signal.SIGINT, signal.SIGTERM)

_GUARD = """
live=' '
while read -r sign pid; do
  case $sign in
    +) live="$live$pid " ;;
    -) live="${live%% $pid *} ${live#* $pid }" ;;
  esac
done
for signal in TERM TERM TERM TERM TERM TERM KILL; do
  left=
  for pid in $live; do
    if kill -$signal "$pid"; then left="$left $pid"; fi
  done
  live=$left
  [ "$live" ] || exit 0
  sleep 0.5
done
"""


class Options(TypedDict, total=False):
    """Of `subprocess.Popen`."""

    stdin: int | IO[bytes] | None
    stdout: int | IO[bytes] | None
    stderr: int | IO[bytes] | None
    env: Mapping[str, str]
    bufsize: int


class _Guard:
    """The guard of this process, started with the first child; forked processes have their own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Have a guard, before there is a child that it could be late for."""
        with self._lock:
            if self._owner != os.getpid():
                self.leave()
                self._owner, self._process = os.getpid(), _started()

    def tell(self, sign: str, pid: int) -> None:
        self.begin()
        if self._process and self._process.stdin:
            with suppress(OSError):  # somebody ended it
                os.write(self._process.stdin.fileno(), f"{sign} {pid}\n".encode())

    def leave(self) -> None:
        """Close the pipe; the guard ends when every process has done so."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        with suppress(OSError):
            process.stdin.close()
        if self._owner == os.getpid():
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
        else:
            process.returncode = 0  # of another process: not to be waited for


_guard = _Guard()
atexit.register(_guard.leave)


def _started() -> subprocess.Popen[bytes] | None:
    """A guard, out of reach of Ctrl-C; None where there is no shell."""
    try:
        return subprocess.Popen(  # noqa: S603  # a list of arguments
            (_SHELL, "-c", _GUARD),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={"PATH": os.defpath},
            cwd="/",
            start_new_session=True,
        )
    except OSError:
        return None


def _begun(argv: Sequence[str], options: Options) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(argv, **options)  # noqa: S603  # no shell
    except ValueError as err:  # a NUL, or half a character
        raise OSError(errno.EINVAL, "an argument is no text that a program can be given") from err


@contextmanager
def started(
    argv: Sequence[str], seconds: float, **options: Unpack[Options]
) -> Iterator[subprocess.Popen[bytes]]:
    """A child for the length of a block, at whose end it is gone, whatever ended that.

    It is asked to end for so many seconds before it is killed. Raises `OSError`.
    """
    child = None
    try:
        _guard.begin()
        with _handlers_held():  # or nobody would know of a child that has begun just now
            child = _begun(argv, options)
            _guard.tell("+", child.pid)
        yield child
    finally:
        if child is not None:
            try:
                _end(child, seconds)
            finally:
                _guard.tell("-", child.pid)


@contextmanager
def guarded(pid: int) -> Iterator[None]:
    """Guard a forked process for the length of a block, in which it ends and is waited for."""
    _guard.tell("+", pid)
    try:
        yield
    finally:
        _guard.tell("-", pid)


def leave_guard() -> None:
    """In a process that was forked: its parent's guard shall not wait for it."""
    _guard.leave()


def _end(child: subprocess.Popen[bytes], seconds: float) -> None:
    """End a child, unless it has ended; what it started only it can end, so it is asked first.

    Nix 2.34 sleeps through a signal that comes just before it waits for a builder: ask again.
    """
    try:
        end = monotonic() + seconds
        while child.poll() is None and monotonic() < end:
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(_PATIENCE)
    finally:
        if child.returncode is None:  # or interrupted again: at once
            child.kill()
            child.wait()
        for stream in (child.stdin, child.stdout, child.stderr):
            with suppress(OSError):
                if stream is not None:
                    stream.close()


@contextmanager
def _handlers_held() -> Iterator[None]:
    """Let the handlers of signals that end the program wait until the block has ended.

    A child does not inherit that, as it would a mask of signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in _ENDING}
    before = {number: handler for number, handler in before.items() if callable(handler)}
    for number in before:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for missed in came:
            signal.raise_signal(missed)
