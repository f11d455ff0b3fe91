"""A directory to work in, and the program started in it as a user would."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import covered, warm_start
from support.fakenix import OUT, FakeNix, info
from support.fakestore import Node, Program, nar, sri, write

NIX2OCI = str(Path(sys.executable).with_name("nix2oci"))
TIMEOUT = 120
APP: dict[bytes, dict[bytes, Program]] = {b"bin": {b"app": Program(b"\x7fELF a program")}}


def infos(node: Node) -> dict[str, Any]:
    """What path-info prints of the output when it is this."""
    return {OUT: {**info()[OUT], "narHash": sri(node), "narSize": len(nar(node))}}


INFO = infos(APP)

STORE_COMMANDS = frozenset(
    {"build", "resolve", "plan", "sbom", "popularity", "diff", "why", "verify"}
)

Completed = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Terminal:
    """A directory, with an environment that has the fake Nix and little else.

    The fake store has one package, `.#app`, whose output has one program of that name.
    """

    directory: Path
    fake: FakeNix

    @classmethod
    def make(cls, scratch: Path, node: Node = APP) -> Terminal:
        """One in a fresh directory of `scratch`, with another output if that is given."""
        for name in ("nix", "here"):
            (scratch / name).mkdir()
        fake = FakeNix(scratch / "nix")
        place = fake.place(OUT)
        place.unlink()
        write(os.fsencode(place), node)
        fake.answer("path-info", json.dumps(infos(node)))
        fake.nix()
        return cls(scratch / "here", fake)

    def env(self, **more: str) -> Mapping[str, str]:
        path = f"{self.fake.bin}:/usr/bin:/bin"
        return {
            "PATH": path,
            "HOME": str(self.fake.directory),
            "LC_ALL": "C.UTF-8",
            **covered.environment(),
            **more,
        }

    def argv(self, *args: str) -> list[str]:
        takes_store = args and args[0] in STORE_COMMANDS and "--closure" not in args
        store = ("--store", str(self.fake.root)) if takes_store else ()
        return [NIX2OCI, *args, *store]

    def run(self, *args: str, **env: str) -> Completed:
        argv, environment = self.argv(*args), self.env(**env)
        if warm_start.shows_the_same(environment):
            return warm_start.run(argv, self.directory, environment, TIMEOUT)
        return subprocess.run(
            argv,
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )

    def left(self) -> list[str]:
        """Everything in the directory."""
        return sorted(path.name for path in self.directory.iterdir())


def on_pty(
    argv: Sequence[str],
    env: Mapping[str, str],
    directory: Path | None = None,
    *,
    stdout: int | None = None,
) -> bytes:
    """What a program sends to a terminal that is its stdout, unless that is another, and stderr."""
    master, slave = pty.openpty()
    stdout = slave if stdout is None else stdout
    with subprocess.Popen(argv, cwd=directory, env=env, stdout=stdout, stderr=slave) as process:
        os.close(slave)
        seen = b""
        with suppress(OSError):  # EIO is its end, on Linux
            while piece := os.read(master, 1 << 16):
                seen += piece
        process.wait(60)
    os.close(master)
    return seen
