"""Unpack .debs into one prefix: what is below /usr and below / comes together in $out.

Reads the environment: `out`, `debs` (paths of .deb files) and `pythonVersion`, and what
relink.py reads. Left out: what only dpkg uses, and /var, which no store path can be.
"""

import os
import shutil
import subprocess
from pathlib import Path

import relink

KEPT = ("bin", "etc", "games", "include", "lib", "lib64", "libexec", "sbin", "share")
DROPPED = ("share/lintian", "share/bug", "share/doc-base", "share/reportbug")


def merge(source: Path, target: Path) -> None:
    """Move a tree into another; a file that is in both is taken from the source."""
    if not source.is_dir() or source.is_symlink() or not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
        return
    for entry in sorted(source.iterdir()):
        merge(entry, target / entry.name)


def extract(deb: str, root: Path) -> None:
    """The files of a .deb, without owners and setuid bits: Nix refuses to have those made."""
    root.mkdir(parents=True)
    reader = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    plain = ("--no-same-owner", "--no-same-permissions")
    subprocess.run(["tar", "-x", "-C", root, *plain], stdin=reader.stdout, check=True)
    if reader.wait():
        raise SystemExit(f"cannot unpack '{deb}': dpkg-deb failed")


def unpack(deb: str, out: Path) -> None:
    root = out / ".root"
    extract(deb, root)
    for prefix in (root / "usr", root):
        for name in KEPT:
            if (prefix / name).is_dir() and not (prefix / name).is_symlink():
                merge(prefix / name, out / ("bin" if name == "sbin" else name))
    shutil.rmtree(root)


def move_python_modules(out: Path, version: str) -> None:
    """Debian's dist-packages are site-packages elsewhere."""
    modules = out / "lib/python3/dist-packages"
    if modules.is_dir():
        merge(modules, out / f"lib/python{version}/site-packages")
        shutil.rmtree(out / "lib/python3")


def main() -> None:
    out = Path(os.environ["out"])
    os.umask(0o022)
    out.mkdir()
    for deb in os.environ["debs"].split():
        unpack(deb, out)
    for name in DROPPED:
        shutil.rmtree(out / name, ignore_errors=True)
    if "pythonVersion" in os.environ:
        move_python_modules(out, os.environ["pythonVersion"])
    relink.relink_links()
    relink.relink_files()
    fixup = os.environ.get("fixup", "")
    if fixup:
        subprocess.run(["bash", "-euo", "pipefail", "-c", fixup], check=True)


if __name__ == "__main__":
    main()
