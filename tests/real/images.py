"""Images of the distro flake's programs, made by the command itself, once a session."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from real.engines import Engine, output, read_blob

NIX2OCI = str(Path(sys.executable).with_name("nix2oci"))
REGISTRY = "nix2oci.test"
TAG = "1"
NONROOT = 65532  # uid and gid of the user whom images have unless told otherwise


def nix2oci(
    *args: str | Path, prefix: tuple[str, ...] = (), env: Mapping[str, str] | None = None
) -> str:
    """What the command prints on stdout, without the newline; it must succeed.

    `prefix` is put in front of it (as `taskset` is), `env` is its whole environment.
    """
    argv = (*prefix, NIX2OCI, *args)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env, timeout=500)
    assert done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout.rstrip("\n")


@dataclass(frozen=True, slots=True)
class Layout:
    """An image layout with one image, read without the project's own code."""

    path: Path

    @property
    def index(self) -> Any:
        return json.loads((self.path / "index.json").read_bytes())

    @property
    def descriptor(self) -> Any:
        (descriptor,) = self.index["manifests"]
        return descriptor

    @property
    def manifest(self) -> Any:
        return read_blob(self.path, self.descriptor)

    @property
    def config(self) -> Any:
        return read_blob(self.path, self.manifest["config"])

    @property
    def layers(self) -> list[str]:
        """The digests of the layers, base layer first."""
        return [layer["digest"] for layer in self.manifest["layers"]]

    def blob(self, digest: str) -> Path:
        return self.path / "blobs" / digest.replace(":", "/")

    def contents(self) -> dict[str, str]:
        """The SHA-256 of every file, by its name in the layout."""
        files = (file for file in sorted(self.path.rglob("*")) if file.is_file())
        return {str(file.relative_to(self.path)): sha256(file) for file in files}


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Images:
    """Builds images of `distro` into `directory`, each only once, and loads them only once."""

    distro: Path
    directory: Path
    options: tuple[str, ...] = ()
    """More of what `build` is told."""
    tag: str = TAG
    _loaded: dict[tuple[str, str], str] = field(default_factory=dict)

    def installables(self, *names: str) -> tuple[str, ...]:
        return tuple(f"path:{self.distro}#{name}" for name in names)

    def name(self, *programs: str) -> str:
        return f"{REGISTRY}/{'-'.join(programs)}:{self.tag}"

    def layout(self, *programs: str) -> Layout:
        """The layout of an image of the named packages; the first gives the entrypoint."""
        path = self.directory / f"{'-'.join(programs)}.oci"
        if not path.exists():
            printed = nix2oci(
                *("build", *self.installables(*programs), *self.options),
                *("-o", path, "--tag", self.name(*programs)),
            )
            assert printed == f"oci:{path}:{self.tag}", printed
        return Layout(path)

    def archive(self, *programs: str) -> Path:
        """The same image as an archive."""
        path = self.directory / f"{'-'.join(programs)}.tar"
        if not path.exists():
            name = self.name(*programs)
            printed = nix2oci(
                "build",
                *self.installables(*programs),
                "--format=archive",
                *self.options,
                "--tag",
                name,
                "-o",
                path,
            )
            assert printed == f"oci-archive:{path}:{self.tag}", printed
        return path

    def loaded(self, engine: Engine, *programs: str) -> str:
        """The name under which the engine has the image."""
        key = (engine.name, self.name(*programs))
        if key not in self._loaded:
            self._loaded[key] = engine.load(self.archive(*programs))
        return self._loaded[key]


def closure_of(*outputs: str) -> list[str]:
    """Every store path of a closure, as Nix lists it."""
    return sorted(output("nix-store", "--query", "--requisites", *outputs).split())
