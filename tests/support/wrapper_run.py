"""What a wrapper comes to: the oracle for the launcher, for bash and for chains of wrappers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nix2oci.wrappers.operations import Argv0, Chdir, Launch, Unset, normal_directory


@dataclass(frozen=True, slots=True)
class Exec:
    """One call of execve, and the working directory at that moment, as PWD would name it."""

    path: bytes
    argv: tuple[bytes, ...]
    environment: tuple[bytes, ...]
    directory: bytes


def apply(
    launch: Launch,
    environment: Sequence[bytes],
    execfn: bytes,
    argv: Sequence[bytes],
    directory: bytes,
) -> Exec:
    """The call of execve that the wrapper ends in.

    `environment` are entries `NAME=value` in order: those of other names stay as they are, a
    changed one keeps its place, a new one goes to the end, and of several entries with one name
    the last counts and stays when the name is touched. `execfn` is the path by which the wrapper
    was run, `directory` the working directory as PWD names it. Every `Chdir` succeeds.
    """
    entries = list(environment)
    for op in launch.ops:
        if isinstance(op, Chdir):
            _assign(entries, b"OLDPWD", directory)
            directory = normal_directory(op.directory)
            _assign(entries, b"PWD", directory)
        elif isinstance(op, Unset):
            _remove(entries, op.name)
        else:
            _assign(entries, op.name, op.result(_lookup(entries, op.name)))
    words = (_argv0(launch, execfn), *launch.before, *argv[1:], *launch.after)
    return Exec(launch.target, words, tuple(entries), directory)


def _argv0(launch: Launch, execfn: bytes) -> bytes:
    match launch.argv0:
        case Argv0.TARGET:
            return launch.target
        case Argv0.EXECFN:
            return execfn
        case literal:
            return literal


def _lookup(entries: list[bytes], name: bytes) -> bytes | None:
    mark = name + b"="
    found = [entry for entry in entries if entry.startswith(mark)]
    return found[-1].removeprefix(mark) if found else None


def _assign(entries: list[bytes], name: bytes, value: bytes) -> None:
    mark = name + b"="
    places = [at for at, entry in enumerate(entries) if entry.startswith(mark)]
    if places:
        entries[places.pop()] = mark + value
    else:
        entries.append(mark + value)
    for at in reversed(places):
        del entries[at]


def _remove(entries: list[bytes], name: bytes) -> None:
    entries[:] = [entry for entry in entries if not entry.startswith(name + b"=")]
