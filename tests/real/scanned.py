"""What scanners list, of an image and of a bill of materials; and files of many languages."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from support.fakestore import Node, Program, write
from support.sections import build_information, crates, elf_with_sections

_OFFLINE = (
    *("--quiet", "--skip-db-update", "--skip-java-db-update", "--offline-scan"),
    *("--skip-version-check", "--disable-telemetry"),
    *("--scanners", "license", "--list-all-pkgs", "--format", "json"),
)

_MODULES = """path\texample.com/cmd/app
mod\texample.com/app\tv1.0.0\th1:z=
dep\tgithub.com/a/b\tv1.2.3\th1:x=
dep\tgithub.com/c/d\tv0.1.0\th1:y=
"""
_CRATES = {
    "packages": [
        {"name": "app", "version": "0.1.0", "source": "local", "root": True, "dependencies": [1]},
        {"name": "serde", "version": "1.0.2", "source": "crates.io"},
    ]
}
_GEM = 'Gem::Specification.new do |s|\n  s.name = "rake".freeze\n  s.version = "13.0.6"\nend\n'


def _jar() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
        archive.writestr(
            "META-INF/maven/org.a/b/pom.properties", "groupId=org.a\nartifactId=b\nversion=1.0\n"
        )
    return made.getvalue()


def _npm(name: str, version: str) -> bytes:
    return json.dumps({"name": name, "version": version, "license": "MIT"}).encode()


LANGUAGES: dict[str, Node] = {
    "go": {
        b"bin": {
            b"go-app": Program(
                elf_with_sections({b".go.buildinfo": build_information("go1.22.1", _MODULES)})
            )
        }
    },
    "rust": {
        b"bin": {
            b"rust-app": Program(
                elf_with_sections({b".dep-v0": crates(json.dumps(_CRATES).encode())})
            )
        }
    },
    "node": {
        b"lib": {
            b"node_modules": {
                b"left-pad": {b"package.json": _npm("left-pad", "1.3.0")},
                b"@scope": {b"inner": {b"package.json": _npm("@scope/inner", "2.0.0")}},
            }
        }
    },
    "java": {b"share": {b"java": {b"b-1.0.jar": _jar()}}},
    "ruby": {
        b"lib": {b"ruby": {b"specifications": {b"rake-13.0.6.gemspec": _GEM.encode()}}},
    },
    "python": {
        b"lib": {
            b"python3": {
                b"site-packages": {
                    b"Foo_Bar-1.0.dist-info": {
                        b"METADATA": b"Metadata-Version: 2.1\nName: Foo_Bar\nVersion: 1.0\n",
                        b"RECORD": b"",
                    }
                }
            }
        }
    },
}
"""What programs of these languages have beside their code, each for a store path."""


def added(language: str, scratch: Path) -> str:
    """The store path `LANGUAGE-app-1.0`, which is in the store from now on."""
    directory = scratch / f"{language}-app-1.0"
    write(os.fsencode(directory), LANGUAGES[language])
    return _run("nix-store", "--add", directory).strip()


class Listed(NamedTuple):
    """A package as a scanner lists it; `file` is empty where it says none."""

    kind: str
    name: str
    version: str
    file: str = ""


def by_trivy(scratch: Path, *what: str | Path) -> list[Listed]:
    """What `trivy WHAT` lists, without any database."""
    text = _run("trivy", *what, *_OFFLINE, "--cache-dir", scratch / "trivy")
    results: list[Any] = json.loads(text).get("Results") or []
    return sorted(
        Listed(each["Type"], p["Name"], p.get("Version", ""), p.get("FilePath", ""))
        for each in results
        for p in each.get("Packages", ())
    )


def by_syft(*what: str | Path) -> list[Listed]:
    """What `syft WHAT` lists; for a store path the hash part stands for its name."""
    text = _run("syft", *what, "--quiet", "--output", "syft-json")
    return sorted({_of_syft(each) for each in json.loads(text)["artifacts"]})


def _of_syft(artifact: Any) -> Listed:
    kind, name = artifact["type"], artifact["name"]
    if kind == "nix":
        # Where a version begins in a name, syft guesses and Nix knows.
        return Listed(kind, artifact["purl"].rpartition("outputhash=")[2], "")
    if kind == "python":  # Syft makes its names alike, and Trivy takes them as they are
        name = re.sub(r"[-_.]+", "-", name).lower()
    return Listed(kind, name, artifact["version"])


def _run(*argv: str | Path) -> str:
    env = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}  # noqa: TID251
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env, timeout=300)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout
