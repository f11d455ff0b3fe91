"""Packages of Python's index, for what nixpkgs has and a distribution has too old or not at all.

`pypi:NAME==VERSION` is a wheel, as `python3Packages.NAME` of the flake; `sdist:NAME==VERSION` is
only put into the Nix store, for a `fetchPypi` that names it by its hash. pip downloads them, from
where it has been told to.
"""

import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PREFIXES = ("pypi:", "sdist:")


class PypiError(Exception):
    """What pip could not do, in its own words."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A file of the index; `needs` are the names of what a wheel asks for."""

    name: str
    version: str
    file: str
    sha256: str
    needs: tuple[str, ...]


def obtain(asked: Iterable[str], cache: Path) -> tuple[Distribution, ...]:
    """Download what is not in the cache, and read it; the wheels of it, by name."""
    found = []
    for word in sorted(set(asked)):
        kind, _, requirement = word.partition(":")
        name, _, version = requirement.partition("==")
        if not version:
            raise PypiError(f"cannot get '{word}': it has no version, as in {word}==1.0")
        file = _file(kind, name, version, cache) or _download(kind, requirement, cache)
        if kind == "pypi":
            found.append(_wheel(normal(name), version, file))
    return tuple(found)


def files(asked: Iterable[str], cache: Path) -> list[Path]:
    """Every file that was asked for, in the cache."""
    parts = [(kind, *rest.split("==")) for kind, _, rest in (w.partition(":") for w in asked)]
    found = [_file(kind, name, version, cache) for kind, name, version in parts]
    return [file for file in found if file]


def normal(name: str) -> str:
    """A name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _file(kind: str, name: str, version: str, cache: Path) -> Path | None:
    suffix = ".whl" if kind == "pypi" else ".tar.gz"
    return next(
        (
            file
            for file in sorted(cache.glob(f"*{suffix}"))
            for stem, _, rest in [file.name.partition("-")]
            if normal(stem) == normal(name) and re.match(rf"{re.escape(version)}(-|\.tar)", rest)
        ),
        None,
    )


def _download(kind: str, requirement: str, cache: Path) -> Path:
    print(f"downloading {requirement}", file=sys.stderr)
    version = ".".join(map(str, sys.version_info[:2]))
    how = (
        ["--only-binary=:all:", f"--python-version={version}"]
        if kind == "pypi"
        else [f"--no-binary={requirement.partition('==')[0]}"]
    )
    with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as scratch:
        command = ["python3", "-m", "pip", "download", "--quiet", "--no-deps", *how]
        done = subprocess.run(
            [*command, f"--dest={scratch}", requirement],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["pip failed"]
            raise PypiError(f"cannot download '{requirement}': {said[-1]}")
        (file,) = Path(scratch).iterdir()
        return file.rename(cache / file.name)


def _wheel(name: str, version: str, file: Path) -> Distribution:
    with zipfile.ZipFile(file) as archive:
        (metadata,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    asked = re.findall(r"^Requires-Dist: ([\w.-]+)(.*)$", text, re.MULTILINE)
    needs = dict.fromkeys(normal(need) for need, when in asked if "extra ==" not in when)
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Distribution(name, version, file.name, digest, tuple(needs))
