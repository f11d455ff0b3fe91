"""A terminal whose Nix has an application that changes and a library that stays, and a registry."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.fakenix import DRV
from support.fakeregistry import PASSWORD, USER, FakeRegistry
from support.fakestore import Node, Program, nar, sri, store_path, write
from support.pushing import REPOSITORY
from support.smallimage import digest_of
from support.terminal import Completed, Terminal

LIBRARY = "/nix/store/a6sbazwb84960nz7saz7z551zi6vri7k-library-1.0"
LIBRARY_FILES: dict[bytes, Node] = {b"lib": {f"{n}.so".encode(): b"x" * n for n in range(3)}}


def _info(node: Node, *references: str) -> dict[str, Any]:
    return {"narHash": sri(node), "narSize": len(nar(node)), "references": list(references)}


@dataclass
class Shop:
    """Builds with `--push`, by someone who has a password."""

    terminal: Terminal
    registry: FakeRegistry
    said: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, scratch: Path, registry: FakeRegistry) -> Shop:
        shop = cls(Terminal.make(scratch), registry)
        place = shop.terminal.fake.place(LIBRARY)
        place.unlink()
        write(os.fsencode(place), LIBRARY_FILES)
        shop.edit("the first one")
        return shop

    def edit(self, text: str) -> None:
        """Another application, under a store path of its own."""
        fake = self.terminal.fake
        node = {b"bin": {b"app": Program(b"\x7fELF" + text.encode())}}
        out = str(store_path("app-1.0", salt=text))
        place = fake.place(out)
        place.unlink()
        write(os.fsencode(place), node)
        fake.rules.clear()
        fake.answer("build --json", json.dumps([{"drvPath": DRV, "outputs": {"out": out}}]))
        known = {out: _info(node, LIBRARY), LIBRARY: _info(LIBRARY_FILES)}
        fake.answer("path-info", json.dumps(known))
        fake.nix()

    @property
    def repository(self) -> str:
        return f"{self.registry.registry}/{REPOSITORY}"

    @property
    def name(self) -> str:
        return f"{self.repository}:1.0"

    def env(self, **more: str) -> Mapping[str, str]:
        return {"NIX2OCI_USERNAME": USER, "NIX2OCI_PASSWORD": PASSWORD, **more}

    def build(self, *args: str, **env: str) -> Completed:
        """A build on a machine that has nothing in its cache."""
        done = self.terminal.run("build", ".#app", "--no-cache", *args, **self.env(**env))
        self.said += [done.stdout, done.stderr]
        return done

    def push(self, *args: str, **env: str) -> dict[str, Any]:
        """What `--json` says of a push that succeeds."""
        done = self.build("--push", self.name, "--json", *args, **env)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def forget(self) -> None:
        """The registry keeps no record of the requests so far."""
        self.registry.seen.clear()

    def sent(self) -> list[str]:
        """The digests of the blobs that arrived since."""
        puts = [
            seen for seen in self.registry.seen if seen.method == "PUT" and "/uploads/" in seen.path
        ]
        return [seen.query.partition("digest=")[2] for seen in puts]

    def manifest(self, repository: str = REPOSITORY, tag: str = "1.0") -> Any:
        return json.loads(self.registry.manifests[repository, tag][1])

    def replace_manifest(self, document: Any, repository: str = REPOSITORY) -> None:
        """What someone else put under the tag, without asking whether it is right."""
        kind, _ = self.registry.manifests[repository, "1.0"]
        self.registry.manifests[repository, "1.0"] = (kind, json.dumps(document).encode())

    def put_blob(self, data: bytes) -> str:
        digest = digest_of(data)
        self.registry.blobs[REPOSITORY, digest] = data
        return digest


def notes(shop: Shop) -> list[str]:
    """What the last build said of what it reuses."""
    return [line for line in shop.said[-1].splitlines() if "reused" in line]


def reused(document: dict[str, Any]) -> list[bool]:
    return [layer["reused"] for layer in document["layers"]]
