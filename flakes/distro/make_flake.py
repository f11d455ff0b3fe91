"""Make a flake of Debian packages: `make DIR [PACKAGE...]`.

Make DIR a flake of Debian packages, download their .debs to DIR.debs and add them
to the Nix store. Running it again is quick, and it may be interrupted at any time:
packages.json, without which DIR is no flake, is written last.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pypi
from debian import Archive, Deb, Package, group_of, stanzas

UPDATE = "apt-get update"
SCRATCH = ".download-"
HERE = Path(__file__).resolve().parent
ALWAYS = ("bash", "coreutils", "findutils", "gawk", "grep", "libc6", "libgcc-s1", "sed")
DEFAULT = (
    *("busybox-static", "ca-certificates", "curl", "git", "media-types", "netbase", "nginx"),
    *("openssl", "python3", "python3-flask", "python3-gunicorn", "redis-server", "tini"),
    "tzdata",
)
# Tools by the Debian package that has them.
TOOLS = {
    "apt-cache": "apt",
    "apt-get": "apt",
    "bash": "bash",
    "dpkg-deb": "dpkg",
    "nix-store": "nix-bin",
    "patchelf": "patchelf",
}
# Debian's name of an architecture: Nix's system, the directory of its libraries, its loader.
PLATFORMS = {
    "amd64": ("x86_64-linux", "x86_64-linux-gnu", "ld-linux-x86-64.so.2"),
    "arm64": ("aarch64-linux", "aarch64-linux-gnu", "ld-linux-aarch64.so.1"),
}


class MakeError(Exception):
    """What could not be done, in one line, and what would help."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ArchiveError(MakeError):
    """A package that apt does not know, or cannot download."""


def run(*argv: str, cwd: Path | None = None) -> str:
    """The output of a program; its own words when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, cwd=cwd)  # noqa: PLW1510
    if done.returncode:
        cause = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise MakeError(f"cannot run '{' '.join(argv[:3])}': {cause[-1]}")
    return done.stdout


def require_tools() -> None:
    for tool, package in TOOLS.items():
        if not shutil.which(tool):
            raise MakeError(
                f"cannot make a flake: no '{tool}' on PATH", f"apt-get install {package}"
            )


def platform() -> tuple[str, str, str]:
    architecture = run("dpkg", "--print-architecture").strip()
    try:
        return PLATFORMS[architecture]
    except KeyError:
        known = ", ".join(PLATFORMS)
        raise MakeError(f"cannot make a flake for '{architecture}': known are {known}") from None


def refresh_lists() -> None:
    if os.geteuid() != 0:
        raise MakeError("cannot make a flake: apt has no lists of packages", UPDATE)
    print(UPDATE, file=sys.stderr)
    run(*UPDATE.split(), "-q")


def archive() -> Archive:
    known = stanzas(run("apt-cache", "dumpavail"))
    if not known:
        refresh_lists()
        known = stanzas(run("apt-cache", "dumpavail"))
    return Archive(known)


def newest_postgresql(known: Archive) -> list[str]:
    """The server package that the metapackage `postgresql` stands for in this suite."""
    if not known.resolve("postgresql"):
        return []
    return [name for name in known.depends("postgresql") if re.fullmatch(r"postgresql-\d+", name)]


def choose(known: Archive, asked: list[str]) -> list[str]:
    """The Debian packages to make, as asked for, with those that all others use."""
    names = asked or [*DEFAULT, *newest_postgresql(known)]
    for name in names:
        if not known.resolve(name):
            raise ArchiveError(f"cannot find package '{name}': apt does not know it", UPDATE)
    return [known.resolve(name) or name for name in (*ALWAYS, *names)]


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def download(debs: Iterable[Deb], cache: Path) -> None:
    """Put every .deb into the cache under its own name, whole or not at all."""
    missing = [deb for deb in debs if not (cache / deb.file).exists()]
    if not missing:
        return
    megabytes = sum(deb.size for deb in missing) / 1e6
    print(f"downloading {len(missing)} packages, {megabytes:.0f} MB", file=sys.stderr)
    for leftover in cache.glob(f"{SCRATCH}*"):  # of a run that was killed
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(dir=cache, prefix=SCRATCH) as scratch:
        fetched = Path(scratch)
        fetch(missing, fetched)
        for deb in missing:
            (file,) = fetched.glob(f"{deb.package}_*.deb")
            if sha256(file) != deb.sha256:
                raise MakeError(f"cannot use '{file.name}': its SHA-256 is not what apt expects")
            file.rename(cache / deb.file)


def fetch(debs: list[Deb], into: Path) -> None:
    names = [f"{deb.package}={deb.version}" for deb in debs]
    # The directory is root's: apt could not write to it as the user it prefers.
    try:
        run("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *names, cwd=into)
    except MakeError as error:
        raise ArchiveError(str(error), UPDATE) from error


def add_to_store(names: Iterable[str], cache: Path) -> None:
    """Give Nix files of the cache under the store paths that their hashes make."""
    files = [str(cache / name) for name in names]
    if files:
        run("nix-store", "--add-fixed", "sha256", *files)


def document(
    packages: tuple[Package, ...], asked: Iterable[str], wheels: Iterable[pypi.Distribution]
) -> dict[str, object]:
    """packages.json, as default.nix reads it."""
    system, multiarch, loader = platform()
    aliases = {deb.package: p.name for p in packages for deb in p.debs if deb.package != p.name}
    entries = {
        p.name: {
            **{key: value for key, value in asdict(p).items() if key != "name"},
            "debs": [{"name": deb.file, "sha256": deb.sha256} for deb in p.debs],
        }
        for p in packages
    }
    return {
        "system": system,
        "multiarch": multiarch,
        "loader": loader,
        "packages": entries,
        "aliases": aliases,
        "asked": sorted({group_of(name) for name in asked}),
        "wheels": {wheel.name: asdict(wheel) for wheel in wheels},
    }


def write(file: Path, text: str) -> None:
    """Write by rename, and only what differs, so that DIR's times do not change for nothing."""
    if file.exists() and file.read_text() == text:
        return
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.rename(file)


def copy_sources(target: Path) -> None:
    """The Nix files and the builders, and no builder that is not one any more."""
    source = HERE / "nix"
    for file in (*source.glob("*.nix"), *source.glob("*/*.*")):
        (target / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
        write(target / file.relative_to(source), file.read_text())
    for directory in ("builders", "python"):
        for file in (target / directory).iterdir():
            if not (source / directory / file.name).exists():
                file.unlink()


@contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Two runs for one DIR wait for each other."""
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def obtain(asked: list[str], cache: Path) -> tuple[list[str], tuple[Package, ...]]:
    """The names and the packages, with every .deb of them in the cache."""
    known = archive()
    names = choose(known, asked)
    packages = known.packages(names)
    download([deb for package in packages for deb in package.debs], cache)
    return names, packages


def make(target: Path, asked: list[str]) -> None:
    cache = target.with_name(target.name + ".debs")
    cache.mkdir(parents=True, exist_ok=True)
    of_python = [name for name in asked if name.startswith(pypi.PREFIXES)]
    asked = [name for name in asked if name not in of_python]
    with locked(cache):
        try:
            names, packages = obtain(asked, cache)
        except ArchiveError:
            # Lists that are older than the archive name files that it no longer has.
            if os.geteuid() != 0:
                raise
            refresh_lists()
            names, packages = obtain(asked, cache)
        add_to_store([deb.file for package in packages for deb in package.debs], cache)
        wheels = pypi.obtain(of_python, cache)
        add_to_store([file.name for file in pypi.files(of_python, cache)], cache)
        copy_sources(target)
        text = json.dumps(document(packages, names, wheels), indent=1, sort_keys=True)
        write(target / "packages.json", text + "\n")


def main(argv: list[str]) -> int:
    if not argv or argv[0].startswith("-"):
        print("usage: make DIR [PACKAGE...]", file=sys.stderr)
        return 0 if argv[:1] in (["-h"], ["--help"]) else 2
    try:
        require_tools()
        make(Path(argv[0]).resolve(), argv[1:])
    except MakeError as error:
        return failed(str(error), error.hint)
    except pypi.PypiError as error:
        return failed(str(error), "")
    except OSError as error:
        return failed(f"cannot make '{argv[0]}': '{error.filename}': {error.strerror}", "")
    except KeyboardInterrupt:
        return 130
    print(f"nix build path:{argv[0]}#NAME", file=sys.stderr)
    return 0


def failed(message: str, hint: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
