"""Console blocks of pages: what they show, how a command of one is run here, and what is equal.

What is done to a command before it runs is in `Stage.rewrite`, and nothing else: the stand-in for
nixpkgs comes in, engines and registries are private ones, with the flags that a restricted machine
needs, ports are free ones, and a server has time to come up. What differs by machine or by release
of Debian is made equal on both sides, see `normal`; a line `…` in a page stands for any lines.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from real.distro import FLAKES
from real.engines import ClientEngine
from real.images import NIX2OCI

TOP = FLAKES.parent
REGISTRY = "registry.example.com"
ELISION = "…"


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a page, and the lines that the page shows below it."""

    text: str
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    page: str
    line: int
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in re.finditer(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, match.start()) + 1
        yield Block(str(page.relative_to(TOP)), line, tuple(commands(match[1])))


def commands(text: str) -> Iterator[Command]:
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert parts[0] == "", "a console block begins with a command"
    for part in parts[1:]:
        command, *shown = part.splitlines()
        yield Command(command, tuple(shown))


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a block runs: its directory, and what stands in for the rest of the world."""

    distro: Path
    port: int
    engines: dict[str, ClientEngine]
    containerd: str | None
    registry: str | None
    path: Path
    """Commands that are these engines, for `--load`."""

    def rewrite(self, command: str) -> str:
        """The command that is run for the one of the page."""
        instead = [
            (r"\bnix2oci (build|plan)\b(?! --closure)", rf"\g<0> {self._overrides}"),
            (r"\bnix (build|path-info)\b", rf"\g<0> {self._overrides}"),
            (r"\bnix2oci (?=build [^)\n]*--load)", f"PATH={self.path}:$PATH nix2oci "),
            (r"\bnixpkgs#", f"path:{self.distro}#"),
            (r"--publish 8080:8080\b", f"--network=host --env=PORT={self.port}"),
            (r"(\bcurl )(http://localhost):8080\b", self._curl),
            (r"\bnetstat -ltn\b", r"until \g<0> | grep -q LISTEN; do sleep 1; done; \g<0>"),
            (r"\bskopeo (copy|inspect)\b", r"skopeo --insecure-policy \1"),
            (rf"docker://{REGISTRY}", f"docker://{self.registry}"),
            (rf"(nix2oci push \S+ ){REGISTRY}", rf"\g<1>{self.registry}"),
            (r"(skopeo .*copy)", r"\1 --dest-tls-verify=false"),
            (r"(skopeo .*inspect)", r"\1 --tls-verify=false"),
            (r"\bctr ", f"ctr --address {self.containerd} "),
        ]
        for pattern, replacement in instead:
            command = re.sub(pattern, replacement, command)
        for name, engine in self.engines.items():
            client, limits = " ".join(engine.client), " ".join(engine.limits)
            command = re.sub(rf"(?<!-){name} (?=run|load|stop)", f"{client} ", command)
            command = re.sub(rf"({re.escape(client)} run)\b", rf"\1 {limits}", command)
        return command

    @property
    def _overrides(self) -> str:
        return f"--override-input nixpkgs path:{self.distro} --no-write-lock-file"

    @property
    def _curl(self) -> str:
        return rf"\1--silent --noproxy localhost --retry 9 --retry-connrefused \2:{self.port}"

    def unwrite(self, shown: str) -> str:
        """Output of a rewritten command, as the page has it."""
        return shown.replace(self.registry, REGISTRY) if self.registry else shown


def run(command: str, directory: Path) -> str:
    """What a command prints on stdout; it must succeed."""
    path = f"{Path(NIX2OCI).parent}:{os.environ['PATH']}"  # noqa: TID251
    argv = ("bash", "-euo", "pipefail", "-c", command)
    env = {**os.environ, "PATH": path}  # noqa: TID251
    done = subprocess.run(
        argv, cwd=directory, env=env, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def matches(shown: tuple[str, ...], printed: list[str]) -> bool:
    """Whether every line that is shown is printed, and between two of them only what `…` allows."""
    runs = [
        [normal(line) for line in lines]
        for is_elision, lines in groupby(shown, key=lambda line: line.strip() == ELISION)
        if not is_elision
    ]
    there, position = [normal(line) for line in printed], 0
    starts_free = bool(shown) and shown[0].strip() == ELISION
    ends_free = bool(shown) and shown[-1].strip() == ELISION
    for number, lines in enumerate(runs):
        free = starts_free if number == 0 else True
        places = range(position, len(there) - len(lines) + 1) if free else [position]
        found = next((at for at in places if there[at : at + len(lines)] == lines), None)
        if found is None:
            return False
        position = found + len(lines)
    return ends_free or position == len(there)


NORMAL = (
    (r"sha256:[0-9a-f]{64}", "DIGEST"),
    (r"/nix/store/[0-9a-z]{32}-", "/nix/store/"),
    (r"linux/(amd64|arm64)", "PLATFORM"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r"\d+(\.\d+)* (B|kB|MB|GB)\b", "SIZE"),
    (r"-\d[0-9a-z.]*", "-VERSION"),
    (r"(?<![\w.])\d+\.\d+(\.\d+)?(?![\w.])", "VERSION"),
    (r"\bpython3\.\d+", "python3.MINOR"),
    (r"\bcpython-3\d+", "cpython-3MINOR"),
    (r"^ *\d+ +", "NUMBER "),
    (r"\b\d+ (layers|store paths|kept)", r"N \1"),
    (r" +", " "),
)


def normal(line: str) -> str:
    """A line without what differs by machine or by the release of Debian, in `NORMAL` alone.

    That is: digests, hash parts, platforms, times, sizes, versions and counts of paths and layers.
    """
    for pattern, replacement in NORMAL:
        line = re.sub(pattern, replacement, line)
    return line.strip()
