"""Where the commands of pages run, and what stands in there for the rest of the world.

What is done to a command before it runs is in `Stage.rewrite`, and nothing else: the stand-in for
nixpkgs comes in, engines and registries are private ones, with the flags that a restricted machine
needs, ports are free ones, a server has time to come up, and where there is no cluster kubectl
reads objects and names them.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from real.console import Block, matches
from real.containerd import containerd
from real.docker_registry import registry
from real.engines import ClientEngine
from real.images import NIX2OCI
from real.ports import free_port
from real.shims import shims

NIXPKGS = "github:NixOS/nixpkgs/nixos-unstable"
_HOSTS = "registry.example.com|localhost:5000"
_REGISTRY = re.compile(rf"(?<!--tag )\b(?:{_HOSTS})(?![\w.])")
_IMAGES = ("team/web:1.0", "team/web:1.0-debug", "localhost/team/web:1.0")
_CONTAINERS = ("web", "shop")
_VOLUMES = ("shop-data",)
_APPLIED = ("kubectl label --local tutorial=yes", " labeled")


@dataclass(frozen=True, slots=True)
class Stage:
    """What the commands of a page have, and nothing that they do not need."""

    distro: Path
    port: int
    engines: Mapping[str, ClientEngine]
    containerd: str | None
    registry: str | None
    registry_name: str
    """Of that registry, in the page."""
    path: Path
    """Commands that are these engines, for `--load`."""
    overrides: str
    """Flags by which a flake of the samples has the stand-in for nixpkgs."""

    def rewrite(self, command: str) -> str:
        """The command that is run for the one of the page."""
        instead: list[tuple[str | re.Pattern[str], str]] = [
            (r"\bnix2oci (build|plan)\b(?! --closure)", rf"\g<0> {self.overrides}"),
            (r"\bnix (build|path-info)\b", rf"\g<0> {self.overrides}"),
            (r"\bnix2oci (?=build [^)\n]*--load)", f"PATH={self.path}:$PATH nix2oci "),
            (r"\bnixpkgs#", f"path:{self.distro}#"),
            (r"--publish 8080:8080\b", f"--network=host --env=PORT={self.port}"),
            (r"\bcurl (.*http://localhost):8080\b", self._curl),
            (r"\bnetstat -ltn\b", r"until \g<0> | grep -q LISTEN; do sleep 1; done; \g<0>"),
            (r"^podman exec .*", r"for try in {1..40}; do \g<0> && break || sleep 0.3; done"),
            (r"^podman run .*/registry:2$", "echo is there already"),
            (r"\bskopeo (copy|inspect)\b", r"skopeo --insecure-policy \1"),
            (_REGISTRY, str(self.registry)),
            (r"(skopeo .*copy)", r"\1 --dest-tls-verify=false"),
            (r"(skopeo .*inspect)", r"\1 --tls-verify=false"),
            (r"\bctr ", f"ctr --address {self.containerd} "),
            (r"\bkubectl apply\b", _APPLIED[0]),
        ]
        for pattern, replacement in instead:
            command = re.sub(pattern, replacement, command)
        for name, engine in self.engines.items():
            client, limits = " ".join(engine.client), " ".join(engine.limits)
            command = re.sub(rf"(?<![\w/-]){name} (?=[a-z]+\b)", f"{client} ", command)
            command = re.sub(rf"({re.escape(client)} run)\b", rf"\1 {limits}", command)
        return command

    @property
    def _curl(self) -> str:
        ready = "--silent --noproxy localhost --retry 9 --retry-connrefused"
        return rf"curl {ready} \1:{self.port}"

    def unwrite(self, printed: str, command: str) -> str:
        """What a rewritten command printed, as the page has it."""
        if self.registry:
            printed = printed.replace(self.registry, self.registry_name)
        return printed.replace(_APPLIED[1], " created") if "kubectl apply" in command else printed

    def given(self, text: str) -> str:
        """A file of the page, with the stand-in for nixpkgs and the registry that is there."""
        text = text.replace(NIXPKGS, f"path:{self.distro.resolve()}")
        return _REGISTRY.sub(str(self.registry), text)

    def run(self, command: str, directory: Path) -> str:
        """What a command of the page prints on stdout; it must succeed."""
        path = f"{Path(NIX2OCI).parent}:{os.environ['PATH']}"  # noqa: TID251
        argv = ("bash", "-euo", "pipefail", "-c", self.rewrite(command))
        done = subprocess.run(
            argv,
            cwd=directory,
            env={**os.environ, "PATH": path},  # noqa: TID251
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{argv[-1]}\n{done.stdout}{done.stderr}"
        return self.unwrite(done.stdout, command)


@contextmanager
def staged(
    commands: str, distro: Path, state: Path, engines: Mapping[str, ClientEngine], overrides: str
) -> Iterator[Stage]:
    """A stage for these commands; what they leave in the engines is removed after it."""
    with ExitStack() as stack:
        named = _REGISTRY.search(commands)
        host = stack.enter_context(registry(state)) if named else None
        address = stack.enter_context(containerd(state)) if "ctr " in commands else None
        path = shims(state / "bin", engines.values(), address)
        for engine in engines.values():
            for clean in (
                ("volume", "rm", "--force", *_VOLUMES),
                ("rmi", "--force", *_IMAGES),
                ("rm", "--force", *_CONTAINERS),
            ):
                argv = (*engine.client, *clean)
                stack.callback(subprocess.run, argv, capture_output=True, check=False)
        name = named[0] if named else ""
        yield Stage(distro, free_port(), engines, address, host, name, path, overrides)


def type_in(block: Block, stage: Stage, directory: Path) -> Path:
    """Run the commands of a block, which must print what it shows; the directory they end in."""
    for command in block.commands:
        if command.text.startswith("cd "):
            directory = directory / command.text.removeprefix("cd ")
            continue
        printed = stage.run(command.text, directory)
        assert matches(command.shown, printed.splitlines()), (
            f"{block}: $ {command.text}\nthe page shows:\n"
            + "\n".join(command.shown)
            + f"\nit printed:\n{printed}"
        )
    return directory
