"""Commands on PATH that are an engine of the tests, as a user's own would be that of the user."""

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from real.engines import ClientEngine


def shims(directory: Path, engines: Iterable[ClientEngine], containerd: str | None) -> Path:
    """A directory of programs that each call an engine; `containerd` is the address of its socket.

    They stand for what contexts, connections and variables do elsewhere.
    """
    directory.mkdir()
    commands = {engine.name: engine.client for engine in engines}
    if containerd:
        commands["ctr"] = ("ctr", "--address", containerd)
    for name, client in commands.items():
        path = directory / name
        path.write_text(f'#!/bin/sh\nPATH={shlex.quote(_path())} exec {shlex.join(client)} "$@"\n')
        path.chmod(0o755)
    return directory


def with_shims(directory: Path) -> Mapping[str, str]:
    """The environment that has these before all other programs."""
    return {**os.environ, "PATH": f"{directory}:{_path()}"}  # noqa: TID251


def _path() -> str:
    return os.environ["PATH"]  # noqa: TID251
