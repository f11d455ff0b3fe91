"""A terminal whose flake has several packages, with libraries that they have in common."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.fakestore import Node, Program, nar, sri, store_path, write
from support.terminal import Completed, Terminal

# What answers the questions that a run of several images has: about all of `packages` or `apps`,
# about single attributes, builds and closures. Its argument before those of nix is a file that says
# which packages there are.
_NIX = r"""
import json, re, sys

state, argv = json.load(open(sys.argv[1])), sys.argv[2:]
text, operand = " ".join(argv), argv[-1]
packages, infos = state["packages"], state["infos"]
by_drv = {each["drv"]: each for each in packages.values()}


def fail(message):
    sys.stderr.write(f"error: {message}\n")
    sys.exit(1)


def value(name):
    each = packages.get(name)
    return None if each is None or each["throws"] else each["value"]


if " eval " in text:
    group = operand.partition("#")[2]
    if group == "packages":
        asked = re.findall(r'\[ "[^"]+" "([^"]+)" \]', text) or sorted(packages)
        print(json.dumps([[name, value(name)] for name in asked]))
    elif group in ("apps", "legacyPackages") or group.startswith("apps."):
        fail(f"flake 'path:/f' does not provide attribute '{group}'")
    elif group in packages and value(group):
        print(json.dumps(value(group)))
    elif group in packages:
        fail("it throws")
    else:
        fail(f"flake 'path:/f' does not provide attribute '{group}'")
elif " build " in text:
    wanted = [by_drv[each.partition("^")[0]] for each in argv if each.partition("^")[0] in by_drv]
    for each in wanted:
        if each["broken"]:
            fail(f"builder for '{each['drv']}' failed with exit code 1")
    made = [{"drvPath": each["drv"], "outputs": {"out": each["out"]}} for each in wanted]
    print(json.dumps(made))
else:
    waiting, found = [each for each in argv if each in infos], {}
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = infos[path]
            waiting += infos[path]["references"]
    print(json.dumps(found))
"""


@dataclass
class FleetNix:
    """Add packages, then run commands."""

    terminal: Terminal
    packages: dict[str, dict[str, Any]] = field(default_factory=dict)
    infos: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def make(cls, scratch: Path) -> FleetNix:
        """Packages `web` and `worker` with a library for both, and `tool` without."""
        fleet = cls(Terminal.make(scratch))
        fleet.library("shared", b"s" * 4000)
        fleet.package("web", "shared")
        fleet.package("worker", "shared")
        fleet.package("tool")
        return fleet

    def library(self, name: str, content: bytes) -> str:
        """A store path that packages may refer to."""
        return self._place(f"lib{name}-1.0", {b"lib": {name.encode(): content}}, [])

    def package(
        self,
        name: str,
        *libraries: str,
        programs: tuple[str, ...] | None = None,
        broken: bool = False,
        throws: bool = False,
        salt: str = "",
        **value: Any,
    ) -> None:
        """A package of the flake; `broken` does not build, `throws` does not evaluate."""
        names = (name,) if programs is None else programs
        content = f"{name} {salt}".encode()
        node: Node = {
            b"bin": {each.encode(): Program(b"\x7fELF " + content) for each in names},
            b"share": {name.encode(): content},
        }
        needs = [path for path in self.infos for each in libraries if f"lib{each}-" in path]
        out = self._place(f"{name}-1.0", node, needs, salt)
        drv = f"{store_path(f'{name}-1.0.drv', salt=salt)}"
        self.terminal.fake.place(drv)
        known = {"kind": "derivation", "drv": drv, "outputs": ["out"], "outputName": "out"}
        known |= {"name": f"{name}-1.0", "pname": name, "system": "x86_64-linux"}
        self.packages[name] = {
            "drv": drv,
            "out": out,
            "broken": broken,
            "throws": throws,
            "value": {**known, **value},
        }
        self._set_up()

    def same(self, name: str, other: str) -> None:
        """A second name of a package."""
        self.packages[name] = self.packages[other]
        self._set_up()

    def _place(self, name: str, node: Node, references: list[str], salt: str = "") -> str:
        path = str(store_path(name, salt=salt))
        place = self.terminal.fake.place(path)
        place.unlink()
        write(os.fsencode(place), node)
        self.infos[path] = {"narHash": sri(node), "narSize": len(nar(node))}
        self.infos[path]["references"] = references
        return path

    def _set_up(self) -> None:
        fake = self.terminal.fake
        state, script = fake.directory / "packages.json", fake.directory / "answer.py"
        state.write_text(json.dumps({"packages": self.packages, "infos": self.infos}))
        script.write_text(_NIX)
        fake.rules.clear()
        for question in ("eval --json", "build --json", "path-info"):
            fake.answer(question, run=f'{sys.executable} {script} {state} "$@" || exit 1')
        fake.nix()

    def file(self, text: str) -> None:
        """The nix2oci.yaml of the flake."""
        (self.terminal.directory / "flake.nix").write_text("{ }")
        (self.terminal.directory / "nix2oci.yaml").write_text(text)

    def run(self, *args: str, env: Mapping[str, str] | None = None) -> Completed:
        return self.terminal.run(*args, **(env or {}))

    def build(self, *args: str, env: Mapping[str, str] | None = None) -> Completed:
        """`nix2oci build` into a directory beside the flake, on a machine without a cache."""
        return self.run("build", "--no-cache", *args, env=env)

    def questions(self) -> list[str]:
        """The commands of Nix that were run."""
        return [
            " ".join(call[:2] if call[0] == "flake" else call[:1])
            for call in self.terminal.fake.calls
        ]
