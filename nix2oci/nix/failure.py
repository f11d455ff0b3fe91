"""What it means that a nix failed: the error to raise, and what is left to show.

The hard part is that nix ends with 1 whatever went wrong: a builder that failed is an error of
the store, a daemon that does not answer or a system that nobody can build for is one of Nix.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from msgspec import Struct

from nix2oci.errors import BuildError, Nix2OCIError, NixCommandError
from nix2oci.nix.messages import (
    NO_LINUX_HERE,
    Relay,
    cause,
    hint,
    is_about_the_machine,
    log_command,
    remainder,
)

_DERIVATION = r"/[^\s'\"]+\.drv"


class Finished(Struct, frozen=True):
    """A nix that has ended.

    `argv` is without credentials, `returncode` negative for a signal; `on_terminal` when what
    it said went to a terminal, and is not known here.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    relay: Relay
    on_terminal: bool = False

    @property
    def said(self) -> str:
        """What it wrote to standard error, `""` on a terminal."""
        return self.relay.text


def failure(done: Finished, action: str, *, advice: str | None = None) -> NixCommandError:
    """The error for a command that failed; what its message says besides is shown."""
    said = _death(done.returncode) or cause(done.said) or _end(done)
    _show_rest(done, said)
    if done.returncode == -signal.SIGKILL:
        advice = "the machine may have run out of memory"
    return NixCommandError(
        f"{action}: {said}",
        argv=done.argv,
        returncode=done.returncode,
        stderr=done.said,
        hint=advice or hint(done.said),
    )


def build_failure(done: Finished, action: str, foreign: Sequence[str], own: str) -> Nix2OCIError:
    """The error for a build that failed: `BuildError`, unless it is not about the derivation.

    `foreign` are the systems of the derivations that nobody asked for; `own` is that of this
    machine, where it counts: what was said on a terminal is not known here.
    """
    advice = hint(done.said) or ""
    if foreign and done.on_terminal:
        advice = f"if {foreign[0]} cannot be built here, see --system and remote builders"
        return failure(done, action, advice=advice)
    if own.endswith("-darwin"):
        advice = f"if it is for want of Linux, {NO_LINUX_HERE}"
    if done.returncode < 0 or is_about_the_machine(done.said):
        return failure(done, action)
    said = cause(done.said, first=True) or _end(done)
    _show_rest(done, said)
    command = log_command(done.said)
    if command:
        advice = f"see the whole log with '{command}'"
    names = failed(done.said)
    return BuildError(f"{action}: {said}", hint=advice or None, cause=said, failed=names)


def failed(said: str) -> frozenset[str]:
    """The derivations that errors of Nix name: one that failed, and those that needed it."""
    errors = (line for line in said.splitlines() if line.startswith("error:"))
    return frozenset(drv for line in errors for drv in re.findall(_DERIVATION, line))


def _show_rest(done: Finished, said: str) -> None:
    for line in remainder(done.relay.held, said):
        done.relay.show(line)
    done.relay.held.clear()


def _end(done: Finished) -> str:
    return f"nix ended with exit code {done.returncode}" + (
        ", see above" if done.on_terminal else ""
    )


def _death(returncode: int) -> str:
    """How a child died that was killed by a signal, `""` for one that ended by itself."""
    if returncode >= 0:
        return ""
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return f"nix was killed by {name}"
