"""Files of credentials and helpers, as docker and podman leave them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nix2oci.oci.registry.credentials import Asked, find
from nix2oci.oci.registry.environment import RegistryEnvironment

HOST = "registry.example:5000"


HUB = "https://index.docker.io/v1/"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


ALICE = {"auth": encoded("alice:secret")}


BOB = {"auth": encoded("bob:secret")}


@dataclass
class Home:
    """Files of credentials and helpers in a directory, and what is said while they are read."""

    directory: Path
    notes: list[str] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.directory / "config.json"

    def write(self, document: Any, name: str = "config.json") -> Path:
        path = self.directory / name
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        path.chmod(0o600)
        return path

    def helper(self, name: str, script: str) -> None:
        path = self.directory / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def find(self, registry: str = HOST, repository: str = "team/web", **more: Any) -> Any:
        files = more.pop("files", (str(self.file),))
        around = RegistryEnvironment(
            credential_files=files,
            search_path=f"{self.directory}:/usr/bin:/bin",
            helper_environment={"PATH": "/usr/bin:/bin"},
            account=more.pop("account", None),
        )
        return find(Asked(registry, repository), around, self.notes.append, **more)

    def user(self, registry: str = HOST, repository: str = "team/web") -> str | None:
        found = self.find(registry, repository)
        return found.username if found else None
