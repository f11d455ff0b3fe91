"""What Nix vouches for: `--require-sigs`, and signatures that anybody can check in a provenance."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from real.binary_cache import EXPRESSION, Completed, keys, out_path_of
from real.distro import nix, nixes
from real.images import NIX2OCI
from support.tools import require

pytestmark = pytest.mark.nix

BASE32 = "0123456789abcdfghijklmnpqrsvwxyz"


@dataclass(frozen=True)
class Copied:
    """A store with a path that came from elsewhere."""

    store: Path
    output: str
    secret: Path
    key: str

    def sign(self) -> None:
        argv = ("store", "sign", "--store", str(self.store), "--key-file", str(self.secret))
        nix(*argv, self.output)

    def with_signature(self, change: Callable[[str], str | None]) -> None:
        """Change what the store says of the signature."""
        with (
            closing(sqlite3.connect(self.store / "nix/var/nix/db/db.sqlite")) as database,
            database,
        ):
            ((signature,),) = database.execute("select sigs from ValidPaths")
            database.execute("update ValidPaths set sigs = ?", (change(signature),))

    def build(self, directory: Path, *options: str, **env: str) -> Completed:
        argv = [NIX2OCI, "build", self.output, "--store", str(self.store), *options]
        return subprocess.run(
            [*argv, "--require-sigs", "-o", directory / "image", "--provenance", directory / "p"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **env},  # noqa: TID251
            timeout=300,
        )


@pytest.fixture
def copied(tmp_path: Path) -> Copied:
    require("nix")
    output = str(out_path_of(EXPRESSION.replace("SYSTEM", f"{os.uname().machine}-linux")))
    store = tmp_path / "store"
    nix("copy", "--no-check-sigs", "--to", str(store), output)
    return Copied(store, output, *keys(tmp_path))


def flipped(signature: str) -> str:
    name, _, code = signature.partition(":")
    return f"{name}:{'B' if code[0] == 'A' else 'A'}{code[1:]}"


UNTRUSTED = {
    "a signature with one bit changed": flipped,
    "no signature": lambda _: None,
    "a signature of an unknown key": lambda signature: f"other-{signature}",
}


@pytest.mark.parametrize("what", UNTRUSTED)
def test_nobody_vouches_with(what: str, copied: Copied, tmp_path: Path) -> None:
    copied.sign()
    copied.with_signature(UNTRUSTED[what])
    done = copied.build(tmp_path, "--option", "trusted-public-keys", copied.key)
    assert (done.returncode, done.stdout, (tmp_path / "image").exists()) == (4, "", False)
    assert f"cannot use {copied.output}: not built in this store" in done.stderr


def test_a_trusted_signature_is_in_the_provenance(copied: Copied, tmp_path: Path) -> None:
    copied.sign()
    for each in nixes():
        path = f"{each.parent}{os.pathsep}{os.environ['PATH']}"  # noqa: TID251
        trusted = ("--option", "trusted-public-keys", copied.key)
        done = copied.build(tmp_path, *trusted, PATH=path)
        assert done.returncode == 0, done.stderr
        ((found,), name) = store_paths(tmp_path), copied.key.partition(":")[0]
        (signature,) = found["annotations"]["signatures"]
        assert signature.startswith(f"{name}:")
        public = Ed25519PublicKey.from_public_bytes(code(copied.key))
        public.verify(code(signature), fingerprint(found))  # raises where it is another


def test_what_was_built_here_needs_no_signature(tmp_path: Path) -> None:
    output = str(out_path_of(EXPRESSION.replace("SYSTEM", f"{os.uname().machine}-linux")))
    for each in nixes():
        path = f"{each.parent}{os.pathsep}{os.environ['PATH']}"  # noqa: TID251
        argv = [NIX2OCI, "build", output, "--require-sigs", "-o", str(tmp_path / "image")]
        env = {**os.environ, "PATH": path}  # noqa: TID251
        subprocess.run([*argv, "--provenance", tmp_path / "p"], check=True, env=env)
        assert store_paths(tmp_path)[0]["annotations"]["builtHere"] is True


def store_paths(directory: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((directory / "p").read_text())["runDetails"][
        "byproducts"
    ]
    return found


def code(text: str) -> bytes:
    return base64.b64decode(text.partition(":")[2])


def fingerprint(found: dict[str, Any]) -> bytes:
    """What Nix signs (src/libstore/path-info.cc), by the document alone."""
    path, notes = found["uri"].removeprefix("nix:"), found["annotations"]
    references = ",".join(f"/nix/store/{base}" for base in notes.get("references", []))
    number = int.from_bytes(bytes.fromhex(found["digest"]["narSha256"]), "little")
    base32 = "".join(BASE32[number >> 5 * i & 31] for i in reversed(range(52)))
    return f"1;{path};sha256:{base32};{notes['narSize']};{references}".encode()
