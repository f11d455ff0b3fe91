"""A terminal whose flake has its package for two systems."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from support.elf_heads import AARCH64, X86_64
from support.fakenix import missing, value
from support.fakestore import Node, Program, nar, sri, write
from support.terminal import Terminal

ARM = "/nix/store/r6sbazwb84960nz7saz7z551zi6vri7k-app-1.0"
ARM_DRV = "/nix/store/42f2hlqgz41s6s2q495y7bkm0fn65sx6-app-1.0.drv"
BOTH = ("--platform", "linux/amd64,linux/arm64")


def place(scratch: Path, program: Program = AARCH64, **changes: str) -> Terminal:
    """A terminal whose flake has its package for aarch64-linux as well."""
    terminal = Terminal.make(scratch, {b"bin": {b"app": X86_64}})
    fake, node = terminal.fake, dict[bytes, Node]({b"bin": {b"app": program}})
    rules = list(fake.rules)
    fake.rules.clear()
    fake.place(ARM_DRV)
    at = fake.place(ARM)
    at.unlink()
    write(os.fsencode(at), node)
    info: Mapping[str, object] = {
        "narHash": sri(node),
        "narSize": len(nar(node)),
        "references": [],
    }
    fake.answer("#apps.aarch64-linux", stderr=missing("apps"), code=1)
    fake.answer("flake metadata", json.dumps({"lastModified": 1, "resolved": {}}))
    fake.answer("--system aarch64-linux", value(drv=ARM_DRV, system="aarch64-linux", **changes))
    fake.answer(f"{ARM_DRV}^out", json.dumps([{"drvPath": ARM_DRV, "outputs": {"out": ARM}}]))
    fake.answer(f"-- {ARM}", json.dumps({ARM: info}))
    fake.rules += rules
    fake.nix()
    return terminal
