"""Commands of the program in this process: what each did, how long it took, how much it held."""

from __future__ import annotations

import io
import os
import socket
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any
from unittest import mock

from nix2oci.cli import app, context
from nix2oci.cli.steps import registry_run
from nix2oci.host.http.retry import Clock

MOST_SECONDS, MOST_BYTES = 10.0, 250 << 20


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    seconds: float
    peak: int
    """Bytes in memory at once, more than this process had before: it may have done other things."""
    output: str
    said: str
    """On standard error."""

    @property
    def complaint(self) -> str:
        """What is wrong with that, in words; empty where nothing is."""
        if self.code not in range(9):
            return f"exit code {self.code}: {self.said.strip()[-900:]}"
        if "Traceback" in self.said:
            return f"a traceback: {self.said[-600:]}"
        if self.code and not self.said.strip() and not self.output.strip():
            return f"exit code {self.code} without a word"
        if self.seconds > MOST_SECONDS:
            return f"it took {self.seconds:.0f} s"
        if self.peak > MOST_BYTES:
            return f"it held {self.peak >> 20} MB"
        return ""


def run(argv: list[str], directory: Path, env: Mapping[str, str]) -> Outcome:
    """Run a command line in a directory, with no other environment than this."""
    before = sys.argv, sys.stdout, sys.stderr, os.getcwd()
    unraisable = sys.unraisablehook
    sys.argv = ["nix2oci", *argv]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace") for _ in range(2))
    sys.stdout, sys.stderr = out, err
    os.environ.clear()  # noqa: TID251
    os.environ.update(env)  # noqa: TID251
    os.chdir(directory)  # noqa: TID251 - as a user does before
    registry_run.registry_run.cache_clear()
    _forget_peak()
    held = _peak()
    started = time.monotonic()
    try:
        code = app.run()
    finally:
        sys.argv, sys.stdout, sys.stderr = before[:3]
        sys.unraisablehook = unraisable
        os.chdir(before[3])  # noqa: TID251
    taken, peak = time.monotonic() - started, _peak() - held
    return Outcome(code, taken, peak, *map(_text, (out, err)))


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8", "backslashreplace")


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


@contextmanager
def world() -> Iterator[None]:
    """The rest of the machine as runs see it: they wait for nothing, and only reach this host."""
    waited = [0.0]

    def wait(event: Event, seconds: float) -> bool:
        waited[0] += seconds
        return event.is_set()

    def clock(**_: Any) -> Clock:
        return Clock(lambda: time.monotonic() + waited[0], wait, lambda: 0.5)

    look_up = socket.getaddrinfo

    def only_here(host: Any, *args: Any, **more: Any) -> Any:
        if not str(host).startswith("127."):
            raise socket.gaierror(socket.EAI_NONAME, "no such host")
        return look_up(host, *args, **more)

    environment = dict(os.environ)  # noqa: TID251
    with (
        mock.patch.object(context, "clock", clock),
        mock.patch.object(socket, "getaddrinfo", only_here),
        # There is no TLS, and to read the certificates of a system takes as long as five runs.
        mock.patch.object(ssl.SSLContext, "set_default_verify_paths"),
    ):
        yield
    os.environ.clear()  # noqa: TID251
    os.environ.update(environment)  # noqa: TID251
