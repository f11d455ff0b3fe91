"""A terminal whose Nix also has debug tools."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.fakenix import SYSTEM, value
from support.fakestore import Program, nar, sri, write
from support.terminal import Completed, Terminal

TOOLS = "/nix/store/q6sbazwb84960nz7saz7z551zi6vri7k-busybox-1.36"
TOOLS_DRV = "/nix/store/32f2hlqgz41s6s2q495y7bkm0fn65sx6-busybox-1.36.drv"
BOX: dict[bytes, Any] = {b"bin": {b"busybox": Program(b"\0cat\0dd\0df\0ed\0ls\0ps\0sh\0vi\0")}}
REV = "b" * 40
LOCKED = {"type": "github", "owner": "NixOS", "repo": "nixpkgs", "rev": REV}
NIXPKGS = f"github:NixOS/nixpkgs/{REV}#legacyPackages.{SYSTEM}.busybox"

LOCKED_URL = f"github:team/tools/{REV}"
"""What any flake is now."""


class ToolsTerminal:
    """A terminal whose Nix has tools as well, under the store path TOOLS."""

    def __init__(
        self,
        scratch: Path,
        node: Mapping[bytes, Any] = BOX,
        *,
        named: str = NIXPKGS,
        system: str = SYSTEM,
        lock: Mapping[str, Any] | None = LOCKED,
    ) -> None:
        self.terminal = Terminal.make(scratch)
        fake = self.terminal.fake
        rules = list(fake.rules)
        fake.rules.clear()
        fake.place(TOOLS_DRV)
        place = fake.place(TOOLS)
        place.unlink()
        write(os.fsencode(place), node)
        info = {"narHash": sri(node), "narSize": len(nar(node)), "references": []}
        nodes = {"root": {"inputs": {"nixpkgs": "n"} if lock else {}}, "n": {"locked": lock}}
        fake.answer(f"-- {TOOLS}", json.dumps({TOOLS: info}))
        fake.answer(f"-- {named}", value(name="busybox-1.36", drv=TOOLS_DRV, system=system))
        fake.answer(
            f"{TOOLS_DRV}^out", json.dumps([{"drvPath": TOOLS_DRV, "outputs": {"out": TOOLS}}])
        )
        fake.answer(
            "flake metadata",
            json.dumps(
                {
                    "lastModified": 1,
                    "url": LOCKED_URL,
                    "locks": {"nodes": nodes, "root": "root"},
                }
            ),
        )
        fake.rules += rules
        fake.nix()

    def build(self, *more: str) -> Completed:
        return self.terminal.run("build", ".#app", "-o", "x", *more)

    def fails(self, *more: str) -> tuple[int, list[str]]:
        """Exit code, and the lines of the error; nothing is left."""
        done = self.build(*more)
        assert done.stdout == ""
        assert self.terminal.left() == []
        lines = done.stderr.splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("error: "))
        return done.returncode, lines[start:]
