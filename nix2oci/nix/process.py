"""Starts a nix, listens to it until it has ended, and sees to it that it does.

The hard part is to read two pipes at once without a thread.
"""

from __future__ import annotations

import functools
import os
import selectors
import subprocess
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO

from nix2oci.errors import NixNotFoundError
from nix2oci.host.children import started
from nix2oci.nix.failure import Finished, failure
from nix2oci.nix.host import with_cache_directory
from nix2oci.nix.messages import Relay, redact_arguments

_FEATURES = ("--extra-experimental-features", "nix-command flakes")
_TO_END = 10.0
"""Seconds that a nix has to end its builders, which only it can do."""
_CHUNK = 1 << 16

WITHOUT_NIX = (
    "install Nix 2.4 or newer: https://nixos.org/download, "
    "or do without: name a store path, /nix/store/HASH-NAME, "
    "and a binary cache that has it with --from"
)
"""What can be done where there is no Nix."""


@contextmanager
def start(
    argv: Sequence[str], env: Mapping[str, str], stderr: int | IO[bytes] | None
) -> Iterator[subprocess.Popen[bytes]]:
    """A nix whose standard output is read, gone when the block ends, and its builders with it.

    Raises `NixNotFoundError` where it cannot be started.
    """
    with ExitStack() as stack:
        try:
            process = stack.enter_context(
                started(
                    *(argv, _TO_END),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    env=env,
                )
            )
        except FileNotFoundError as err:
            raise NixNotFoundError(
                "cannot run nix: there is no 'nix' on PATH",
                hint=WITHOUT_NIX,
            ) from err
        except OSError as err:
            raise NixNotFoundError(f"cannot run nix: {(err.strerror or str(err)).lower()}") from err
        yield process


def communicate(process: subprocess.Popen[bytes], relay: Relay) -> bytes:
    """All of standard output, while standard error is passed on; the child has ended then."""
    stdout = _read(process, relay)
    process.wait()
    relay.finish()
    return stdout


def stream(
    argv: Sequence[str], env: Mapping[str, str], relay: Relay
) -> Generator[bytes, None, int]:
    """Standard output as it comes, then to `relay` what was said; returns the exit code.

    The first piece is empty: the child is started, and writes what a pipe holds. Close the
    generator to end it early.
    """
    import tempfile  # noqa: PLC0415  # start-up counts

    with tempfile.TemporaryFile() as said:  # nobody has to read two pipes at once
        with start(argv, env, said) as process:
            if process.stdout is None:
                raise AssertionError(argv)
            yield b""
            while data := os.read(process.stdout.fileno(), _CHUNK):
                yield data
            process.wait()
        said.seek(0)
        relay.feed(said.read())
    relay.finish()
    return process.returncode


def _read(process: subprocess.Popen[bytes], relay: Relay) -> bytes:
    stdout: list[bytes] = []
    takers: dict[int, Callable[[bytes], None]] = {}
    with selectors.DefaultSelector() as selector:
        for stream, take in ((process.stdout, stdout.append), (process.stderr, relay.feed)):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ)
                takers[stream.fileno()] = take
        while selector.get_map():
            ended = process.poll() is not None  # asked first: what it wrote is in the pipe by then
            ready = selector.select(timeout=1)
            if not ready and ended:
                break  # a grandchild, such as the master of ssh, keeps the pipe open
            for key, _ in ready:
                data = os.read(key.fd, _CHUNK)
                takers[key.fd](data)
                if not data:
                    selector.unregister(key.fileobj)
    return b"".join(stdout)


class NixRunner:
    """The `nix` on PATH.

    `env` is the whole environment of the children. `show` takes each line of what Nix says
    on standard error, as it comes. With `terminal`, the descriptor of a terminal, who asks for it
    has Nix write to that instead, and draw its own progress. Raises `NixNotFoundError`;
    `KeyboardInterrupt` passes through, after the child has ended.
    """

    def __init__(
        self, env: Mapping[str, str], show: Callable[[str], None], terminal: int | None
    ) -> None:
        self.env = dict(env)
        self._show = show
        self._terminal = terminal
        self._seen: set[str] = set()
        self._meanwhile: list[Callable[[], None]] = []
        self._begun: dict[tuple[str, ...], tuple[ExitStack, subprocess.Popen[bytes]]] = {}

    def while_it_runs(self, action: Callable[[], None]) -> None:
        """Do something once, as soon as the next nix has been started."""
        self._meanwhile.append(action)

    def begin(self, argv: tuple[str, ...]) -> None:
        """Start `nix ARGV` now, for who will `run` it; if nobody does, it goes with this."""
        import weakref  # noqa: PLC0415  # start-up counts

        argv, stack = ("nix", *_FEATURES, *argv), ExitStack()
        weakref.finalize(self, stack.close)
        process = stack.enter_context(start(argv, self._environment, subprocess.PIPE))
        self._begun[argv] = stack, process
        self._do_meanwhile()

    def _do_meanwhile(self) -> None:
        while self._meanwhile:
            self._meanwhile.pop()()

    def run(
        self,
        argv: tuple[str, ...],
        *,
        plain: bool = False,
        terminal: bool = False,
        quiet: bool = False,
        hides: str = "",
    ) -> Finished:
        """Run `nix ARGV` to its end; what it says is shown, unless `quiet`.

        Nor are lines shown with the text that it `hides`.
        """
        argv = ("nix", *(() if plain else _FEATURES), *argv)

        def show(line: str) -> None:
            if not (quiet or (hides and hides in line)):
                self._show(line)

        relay = Relay(show, self._seen)
        terminal = terminal and self._terminal is not None
        stderr = self._terminal if terminal else subprocess.PIPE
        begun, process = self._begun.pop(argv, (ExitStack(), None))
        with begun.pop_all() as stack:
            if process is None:
                process = stack.enter_context(start(argv, self._environment, stderr))
            self._do_meanwhile()
            stdout = communicate(process, relay)
        if process.returncode == 0:
            relay.release()
        text = stdout.decode("utf-8", "replace")
        return Finished(redact_arguments(argv), process.returncode, text, relay, terminal)

    def stream(self, argv: tuple[str, ...], action: str) -> Generator[bytes]:
        """What `nix ARGV` prints, as it comes; at its end `NixCommandError` when it failed."""
        argv = ("nix", *_FEATURES, *argv)
        relay = Relay(self._show, self._seen)
        returncode = yield from stream(argv, self._environment, relay)
        if returncode:
            raise failure(Finished(redact_arguments(argv), returncode, "", relay), action)
        relay.release()

    @functools.cached_property
    def _environment(self) -> Mapping[str, str]:
        """The environment of nix, with a cache directory that can be written."""
        return with_cache_directory(self.env, self)
