"""A `nix` that says what a test wants, and remembers how it was called.

It is a shell script on a PATH of its own. Rules are tried in order; the first whose text occurs
in the arguments, joined by spaces, answers. Without a rule of the test it is a Nix 2.34 with one
package, `.#app`, whose files are below `root`.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nix2oci.errors import Nix2OCIError
from nix2oci.model.closure import Closure
from nix2oci.nix.client import NixClient
from nix2oci.nix.options import Origin
from nix2oci.nix.realise import Built

SYSTEM = "x86_64-linux"
DRV = "/nix/store/11f2hlqgz41s6s2q495y7bkm0fn65sx6-app-1.0.drv"
OUT = "/nix/store/k6sbazwb84960nz7saz7z551zi6vri7k-app-1.0"
SOURCE = "/nix/store/0a1b2c3d4f5g6h7i8j9k0l1m2n3p4q5r-source"
NAR_HASH = "sha256-rcU0Sek2slflcmv68/fyNuOQkC+bd7OGN3LsBFgjyHQ="


def missing(attr: str) -> str:
    """What Nix says when a flake has no such attribute."""
    return f"error: flake 'path:/f' does not provide attribute '{attr}'\n"


def value(**changes: Any) -> str:
    """What evaluation prints of the package."""
    known = {"kind": "derivation", "drv": DRV, "outputs": ["out"], "outputName": "out"}
    return json.dumps({**known, "name": "app-1.0", "system": SYSTEM, **changes})


def joint(
    value: str = "null", app: str = "null", *, version: str = "2.34.8", tree: str = "null"
) -> str:
    """What evaluation prints of a package and an app that it was asked for together."""
    return f'{{"nix2oci": "{version}", "value": {value}, "app": {app}, "tree": {tree}}}'


def tree(**changes: Any) -> str:
    """What evaluation prints of the source of a flake."""
    known = {"path": SOURCE, "revision": "", "last_modified": None, "nar_hash": NAR_HASH}
    return json.dumps({**known, **changes})


def info(path: str = OUT, references: Sequence[str] = ()) -> dict[str, Any]:
    """What path-info prints of a path, in the map of 2.19 and later."""
    return {path: {"narHash": NAR_HASH, "narSize": 120, "references": list(references)}}


@dataclass
class FakeNix:
    """Write `rules`, then use `nix()`; `calls` has the arguments of each call since."""

    directory: Path
    rules: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for path in (DRV, OUT):
            self.place(path)
        self.bin.mkdir()

    @property
    def bin(self) -> Path:
        return self.directory / "bin"

    @property
    def root(self) -> Path:
        """The directory that the store lies below."""
        return self.directory / "root"

    @property
    def log(self) -> Path:
        return self.directory / "calls"

    def place(self, path: str) -> Path:
        """Make a store path exist."""
        place = Path(f"{self.root}{path}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("")
        return place

    def answer(
        self, text: str, stdout: str = "", *, stderr: str = "", code: int = 0, run: str = ":"
    ) -> None:
        """Add a rule: for arguments that hold `text`; `run` is a shell command before the end."""
        self.rules.append(
            f"*{shlex.quote(text)}*) printf %s {shlex.quote(stderr)} >&2; {run};"
            f" printf %s {shlex.quote(stdout)}; exit {code};;"
        )

    def nix(
        self,
        *options: str,
        terminal: int | None = None,
        origin: Origin | None = None,
        **env: str,
    ) -> NixClient:
        """A `NixClient` that runs this one, with a store below `root`."""
        mine = list(self.rules)
        self.answer("--version", "nix (Nix) 2.34.8\n")
        self.answer("builtins.currentSystem", json.dumps(SYSTEM))
        locks = {"nodes": {"root": {}}, "root": "root"}
        metadata = {"lastModified": 1, "resolved": {}, "locks": locks}
        self.answer("flake metadata", json.dumps(metadata))
        if any("#" in rule or "eval" in rule for rule in mine):  # what is to be found one by one
            self.answer('#""', stderr=missing('""'), code=1)
        self.answer("fetchTree", joint(value(), tree=tree()))
        self.answer('#""', joint(value()))
        self.answer("nix2oci = builtins.nixVersion", joint(value()))
        self.answer("#apps.", stderr=missing("apps"), code=1)
        self.answer("flakes eval --json", value())
        self.answer("build --json", json.dumps([{"drvPath": DRV, "outputs": {"out": OUT}}]))
        self.answer("path-info", json.dumps(info()))
        script = self.bin / "nix"
        text = (
            "#!/bin/sh\n"
            f'printf "%s\\0" "$@" >> {shlex.quote(str(self.log))}\n'
            f'printf "\\n\\0" >> {shlex.quote(str(self.log))}\n'
            f'case "$*" in\n{chr(10).join(self.rules)}\nesac\n'
            'echo "no rule for: $*" >&2; exit 99\n'
        )
        if not script.exists() or script.read_text() != text:  # the same program stays the same
            script.write_text(text)
            script.chmod(0o755)
        self.rules = mine
        home = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.directory)}
        store = () if "--store" in options else ("--store", str(self.root))
        return NixClient(
            {**home, **env},
            (*store, *options),
            show=self.shown.append,
            terminal=terminal,
            origin=origin,
            say=self.said.append,
        )

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call, without those that all have."""
        always = ["--extra-experimental-features", "nix-command flakes"]
        found: list[list[str]] = [[]]
        for argument in self.log.read_text().split("\0")[:-1] if self.log.exists() else ():
            if argument == "\n":
                found.append([])
            else:
                found[-1].append(argument)
        return [call[2:] if call[:2] == always else call for call in found[:-1]]


def make(nix: NixClient, *texts: str) -> tuple[tuple[Built, ...], Closure]:
    """All that a build does with Nix."""
    packages = [nix.evaluate(nix.installable(text)) for text in texts or (".#app",)]
    with nix.build(packages) as built:
        return built, nix.closure([root for one in built for root in one.roots])


def fails(
    nix: NixClient, error: type[Nix2OCIError], code: int, text: str = ".#app"
) -> Nix2OCIError:
    """The error of `make`, which is exactly of this class."""
    with pytest.raises(error) as caught:
        make(nix, text)
    assert type(caught.value) is error
    assert caught.value.exit_code == code
    return caught.value
