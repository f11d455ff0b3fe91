"""The stand-in for nixpkgs, and a root that has nothing but the store to run it in."""

import functools
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.tools import require

Completed = subprocess.CompletedProcess[str]

FLAKES = Path(__file__).parents[2] / "flakes"
MAKE = FLAKES / "distro" / "make"
NOBODY = 65534

# Settings of Nix for a root that has never set it up.
SINGLE_USER = """\
extra-experimental-features = nix-command flakes
sandbox = false
substituters =
build-users-group =
"""

# Make the store appear in the root that is the first argument, and become its process.
# Root needs no namespace of users; anybody else is root in one of their own.
_ENTER = """
mount --rbind /nix/store "$0/nix/store" && mount --rbind /dev "$0/dev" && exec "$@"
"""


@functools.cache
def distro_flake(cache: Path) -> Path:
    """The directory of the flake, `cache/distro`, made by `flakes/distro/make`.

    What it downloads is kept beside it, so that a cache that is kept makes the next
    session quick. `make` locks, so that several sessions may ask at once. A missing
    tool skips the test, or fails it where env CI is set.
    """
    require("nix", "apt-get", "dpkg-deb", "patchelf")
    directory = cache / "distro"
    done = subprocess.run([MAKE, directory], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return directory


# What nix2oci is made of, built with and tested by, and what builds `deflate`.
PYTHON_PACKAGES = (
    *("click", "cryptography", "fastcrc", "msgspec", "python-magic", "pyyaml", "rich"),
    *("urllib3", "zstandard"),
    *("cffi", "markdown-it-py", "mdurl", "pycparser", "pygments", "ziglang"),
    *("hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers"),
    *("pytest", "iniconfig", "pytest-timeout", "hypothesis", "sortedcontainers"),
    *("jsonschema", "jsonschema-specifications", "referencing", "rpds-py", "attrs"),
    "typing-extensions",
)
FOR_DEFLATE = ("cmake==4.1.2", "ninja==1.13.0", "scikit-build-core==0.11.6")


@functools.cache
def python_distro(cache: Path) -> Path:
    """As `distro_flake`, with what nixpkgs has of Python for the flake of this repository."""
    require("nix", "apt-get", "dpkg-deb", "patchelf", "cc", "python3-config")
    wheels = [f"pypi:{locked(name)}" for name in PYTHON_PACKAGES]
    for_deflate = [f"pypi:{name}" for name in FOR_DEFLATE]
    debian = ("python3", "ca-certificates", "libstdc++6", "unzip")
    names = (*debian, *wheels, *for_deflate, f"sdist:{locked('deflate')}")
    directory = cache / "distro-python"
    done = subprocess.run([MAKE, directory, *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return directory


def locked(name: str) -> str:
    """A Python package with the version that developers have: `click==8.5.1`."""
    lock = (FLAKES.parent / "requirements-dev.txt").read_text()
    found = re.search(rf"^{name}==[^ ]+", lock, re.MULTILINE)
    assert found, name
    return found[0]


def nix(*arguments: str | Path) -> str:
    """What nix prints on stdout; it must succeed."""
    done = run("nix", *arguments)
    assert done.returncode == 0, f"nix {' '.join(map(str, arguments))}: {done.stderr}"
    return done.stdout


def nixes() -> list[Path]:
    """Every Nix on PATH, each version once."""
    versions: dict[str, Path] = {}
    for directory in os.get_exec_path():
        nix = Path(directory) / "nix"
        if os.access(nix, os.X_OK):
            versions.setdefault(run(nix, "--version").stdout, nix)
    return list(versions.values())


def run(*argv: str | Path) -> Completed:
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)


def out_path(installable: str, *options: str) -> Path:
    """Build an installable: the store path of its output `out`."""
    (answer,) = json.loads(nix("build", "--json", "--no-link", *options, installable))
    return Path(answer["outputs"]["out"])


def sample(distro: Path, name: str, attribute: str = "default") -> tuple[str, ...]:
    """The installable of a sample flake, and the options it is built with: `distro` is its nixpkgs.

    --override-input alone keeps Nix from writing a lock file; the other says so to the reader.
    """
    installable = f"path:{FLAKES / name}#{attribute}"
    return (installable, "--override-input", "nixpkgs", f"path:{distro}", "--no-write-lock-file")


@dataclass(frozen=True, slots=True)
class StoreRoot:
    """A root directory with the store, /dev and an empty /tmp, and no variable set.

    What works here follows no path of the machine: neither a library of its /lib nor a
    program that its PATH has.
    """

    path: Path

    @classmethod
    def make(cls, path: Path) -> "StoreRoot":
        require("unshare", "chroot")
        path.chmod(0o755)
        for name in ("nix/store", "dev", "tmp", "etc"):
            (path / name).mkdir(parents=True)
        (path / "tmp").chmod(0o1777)
        (path / "etc/passwd").write_text(
            f"root:x:0:0::/tmp:/\nnobody:x:{NOBODY}:{NOBODY}::/tmp:/\n"
        )
        (path / "etc/group").write_text(f"root:x:0:\nnogroup:x:{NOBODY}:\n")
        return cls(path)

    def argv(self, *argv: str | Path, user: int | None = None) -> list[str]:
        namespaces = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        chroot = [shutil.which("chroot") or "chroot"]
        if user is not None:
            chroot.append(f"--userspec={user}:{user}")
        inside = ["env", "-i", "HOME=/tmp", *chroot, str(self.path), *map(str, argv)]
        return [*namespaces, "sh", "-c", _ENTER, str(self.path), *inside]

    def run(self, *argv: str | Path, user: int | None = None, stdin: str = "") -> Completed:
        """Run a program of the store to its end."""
        command = self.argv(*argv, user=user)
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=120
        )

    @contextmanager
    def start(self, *argv: str | Path) -> Iterator[None]:
        """A server that runs for the length of a `with`; SIGTERM must end it."""
        server = subprocess.Popen(self.argv(*argv), stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
                raise

    def wait_for(self, name: str) -> None:
        """Wait until a server has made a file of the root."""
        for _ in range(200):
            if (self.path / name).exists():
                return
            time.sleep(0.05)
        raise AssertionError(f"no {self.path / name} after 10 seconds")
