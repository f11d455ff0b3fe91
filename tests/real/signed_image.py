"""An image of two platforms in a registry, with all that can be attached to it, and its key."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.fakeregistry import FakeRegistry
from support.fakeserver import running
from support.pushing import REPOSITORY
from support.signing import KeyPair
from support.terminal import Completed, Terminal
from support.two_systems import BOTH, place

OFFLINE = ("--private-infrastructure", "--allow-insecure-registry")
"""No transparency log, and a registry of this machine."""


@dataclass(frozen=True)
class SignedImage:
    """What was pushed, and where."""

    registry: FakeRegistry
    terminal: Terminal
    key: KeyPair
    digest: str

    @property
    def repository(self) -> str:
        return f"{self.registry.registry}/{REPOSITORY}"

    @property
    def reference(self) -> str:
        return f"{self.repository}@{self.digest}"

    @property
    def platforms(self) -> list[str]:
        """The digests of the manifests that the index lists."""
        _, index = self.registry.manifests[REPOSITORY, self.digest]
        return [each["digest"] for each in json.loads(index)["manifests"]]

    def cosign(self, *argv: str | Path) -> Completed:
        return tool("cosign", *argv, home=self.terminal.directory)

    def oras(self, *argv: str | Path) -> Completed:
        return tool("oras", *argv, home=self.terminal.directory)

    def verify(self, command: Sequence[str], reference: str, key: Path | None = None) -> Completed:
        key = key or self.key.public
        return self.cosign(*command, *OFFLINE, "--key", key, reference)


def tool(name: str, *argv: str | Path, home: Path) -> Completed:
    """A tool with a home of its own, and what it keeps there."""
    path = os.environ["PATH"]  # noqa: TID251
    env = {"PATH": path, "HOME": str(home), "TUF_ROOT": str(home / "tuf"), "COSIGN_PASSWORD": ""}
    return subprocess.run(
        [name, *argv], cwd=home, env=env, capture_output=True, text=True, check=False, timeout=120
    )


@contextmanager
def signed_image(
    directory: Path, *options: str, has_api: bool = True, kind: str = "P-256"
) -> Iterator[SignedImage]:
    """Build and push, to a registry that lists referrers or does not."""
    key = KeyPair.make(directory, kind=kind)
    with running(FakeRegistry(lists_referrers=has_api)) as registry:
        terminal = place(directory)
        to = f"{registry.registry}/{REPOSITORY}:1.0"
        flags = ("--attach=sbom,provenance", f"--sign-key={key.secret}", *BOTH, *options)
        done = terminal.run("build", ".#app", "--no-cache", "--json", "--push", to, *flags)
        assert done.returncode == 0, done.stderr
        yield SignedImage(registry, terminal, key, json.loads(done.stdout)["digest"])


def payloads(printed: str) -> list[dict[str, Any]]:
    """The statements that `cosign verify-attestation` prints, an envelope in each line."""
    from base64 import b64decode  # noqa: PLC0415

    envelopes = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return [json.loads(b64decode(each["payload"])) for each in envelopes]
