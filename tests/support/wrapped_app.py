"""A fake Nix whose `.#app` is behind a wrapper script, with the bash that this names."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from support.fakenix import OUT, value
from support.fakestore import Node, Program, nar, sri, store_path, write
from support.terminal import Terminal

BASH, LIB = str(store_path("bash-5.2")), str(store_path("readline-8"))
PYTHON = str(store_path("python3-3.13"))
ELF = b"\x7fELF\x02\x01 a program"
BASH_ELF = ELF + b"\0/no-such-path\0@(#)Bash version 5.2.15(1) release GNU\0"

SHELL: Mapping[str, tuple[Node, tuple[str, ...]]] = {
    BASH: ({b"bin": {b"bash": Program(BASH_ELF)}}, (LIB,)),
    LIB: ({b"lib": b"x" * 5000}, ()),
}


def wrapper(*lines: bytes, target: str = f"{OUT}/bin/.app-wrapped") -> Node:
    head, last = f"#! {BASH}/bin/bash -e".encode(), f'exec "{target}"  "$@" '.encode()
    return Program(b"\n".join((head, *lines, last, b"")))


WRAPPED: Node = {b"bin": {b"app": wrapper(b"export A='1'"), b".app-wrapped": Program(ELF)}}
RUNS: Node = {b"bin": {b"app": wrapper(b"mkdir x"), b".app-wrapped": Program(ELF)}}
SUBPROCESS: Node = {b"lib": {b"python3.13": {b"subprocess.py": f"sh = '{BASH}/bin/bash'".encode()}}}


def give(terminal: Terminal, app: Node, system: str = "x86_64-linux", **more: Node) -> None:
    """Let `.#app` be this, with a bash, and with python if there is one in `more`."""
    python = {PYTHON: (more["python"], (BASH,))} if more else {}
    objects = {**SHELL, OUT: (app, (BASH, *python)), **python}
    infos = {}
    for path, (node, references) in objects.items():
        place = terminal.fake.root / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        if path == OUT:
            for file in sorted(place.rglob("*"), reverse=True):
                os.chmod(file.parent, 0o755)
                file.rmdir() if file.is_dir() else file.unlink()
            place.rmdir()
        write(os.fsencode(place), node)
        size = len(nar(node))
        infos[path] = {"narHash": sri(node), "narSize": size, "references": list(references)}
    terminal.fake.rules.clear()
    terminal.fake.answer("path-info", json.dumps(infos))
    terminal.fake.answer("flakes eval --json", value(system=system))
    terminal.fake.nix()
