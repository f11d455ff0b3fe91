"""Keys made with openssl, and what a registry has about an image."""

from __future__ import annotations

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.fakeregistry import FakeRegistry
from support.pushing import REPOSITORY

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
CYCLONEDX = "application/vnd.cyclonedx+json"
SPDX = "application/spdx+json"
IN_TOTO = "application/vnd.in-toto+json"


def openssl(*argv: str | Path, stdin: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *argv], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class KeyPair:
    """Two files in PEM."""

    secret: Path
    public: Path

    @classmethod
    def make(cls, directory: Path, name: str = "key", kind: str = "ed25519") -> KeyPair:
        """An Ed25519 key, or one on a curve of this name."""
        made = cls(directory / f"{name}.pem", directory / f"{name}.pub")
        form = ["ed25519"] if kind == "ed25519" else ["EC", "-pkeyopt", f"ec_paramgen_curve:{kind}"]
        openssl("genpkey", "-algorithm", *form, "-out", made.secret)
        openssl("pkey", "-in", made.secret, "-pubout", "-out", made.public)
        return made

    def nix_secret(self, name: str = "cache.example.org-1") -> str:
        """The same Ed25519 key as Nix writes it."""
        seed = openssl("pkey", "-in", self.secret, "-outform", "DER")[-32:]
        return f"{name}:{base64.b64encode(seed + self._raw()).decode()}"

    def nix_public(self, name: str = "cache.example.org-1") -> str:
        return f"{name}:{base64.b64encode(self._raw()).decode()}"

    def _raw(self) -> bytes:
        return openssl("pkey", "-in", self.secret, "-pubout", "-outform", "DER")[-32:]


def about(registry: FakeRegistry, subject: str, repository: str = REPOSITORY) -> list[str]:
    """Artifact types of what is listed about a manifest, in the order of the list."""
    return [each["artifactType"] for each in entries(registry, subject, repository)]


def entries(
    registry: FakeRegistry, subject: str, repository: str = REPOSITORY
) -> list[dict[str, Any]]:
    """What is listed about a manifest: by the registry, or under the tag that clients keep."""
    if registry.lists_referrers:
        return registry.referrers(repository, subject)
    _, data = registry.manifests.get((repository, subject.replace(":", "-")), ("", b"{}"))
    listed: list[dict[str, Any]] = json.loads(data).get("manifests", [])
    return listed


def blob_of(registry: FakeRegistry, entry: dict[str, Any], repository: str = REPOSITORY) -> bytes:
    """The one blob of what is listed."""
    _, manifest = registry.manifests[repository, entry["digest"]]
    (layer,) = json.loads(manifest)["layers"]
    return registry.blobs[repository, layer["digest"]]


def statement(bundle: bytes) -> dict[str, Any]:
    """What a bundle says, whoever signed it."""
    envelope = json.loads(bundle)["dsseEnvelope"]
    found: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
    return found
