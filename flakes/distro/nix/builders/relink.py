"""Make the files of a derivation's outputs refer to the store instead of to /usr.

Reads the environment: `outputs` (names of variables with the paths, `out` unless told),
`inputs` (store paths that may be referred to, by preference) and `loader` (the store's
ELF interpreter; empty for what the C library is made of, which is left as it is).
The references that Nix then finds are the ones that the programs follow.
Runs under the host's Python, alone: no module beyond the standard library.
"""

import os
import subprocess
import sys
from pathlib import Path

OWN = [Path(os.environ[name]) for name in os.environ.get("outputs", "out").split()]
PREFIXES = [*OWN, *(Path(p) for p in os.environ.get("inputs", "").split())]
LOADER = os.environ.get("loader", "")
PT_DYNAMIC, PT_INTERP = 2, 3


def patchelf(*arguments: str | Path) -> str:
    command = ["patchelf", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def libraries() -> dict[str, Path]:
    """The directory of every shared library by its file name.

    The outputs' own come before others', and public ones, which lie higher, before private ones.
    """
    home: dict[str, Path] = {}
    for prefix in PREFIXES:
        below = [Path(at, name) for at, _, names in os.walk(prefix / "lib") for name in names]
        shared = [path for path in below if ".so" in path.name]
        for path in sorted(shared, key=lambda path: (len(path.parts), path)):
            home.setdefault(path.name, path.parent)
    return home


def segments(file: Path) -> set[int]:
    """The types of an ELF file's program headers; none for a file that is not of this machine.

    Offsets as elf(5) has them for 64 bits: e_phoff at 32, e_phentsize at 54, e_phnum at 56.
    """
    with file.open("rb") as stream:
        head = stream.read(64)
        if head[:5] != b"\x7fELF\x02" or len(head) < 64:
            return set()
        size, count = number(head[54:56]), number(head[56:58])
        stream.seek(number(head[32:40]))
        table = stream.read(size * count)
    return {number(table[at : at + 4]) for at in range(0, len(table), size)} if size else set()


def number(field: bytes) -> int:
    return int.from_bytes(field, sys.byteorder)


def is_public(library: Path) -> bool:
    """Whether other programs may link with it: not in a directory of its own below lib."""
    return library.parent.name == "lib" or library.parent.parent.name == "lib"


def relink_elf(file: Path, home: dict[str, Path]) -> None:
    """Set RUNPATH to where the needed libraries are, and the interpreter to the store's."""
    has = segments(file)
    if PT_DYNAMIC not in has or not LOADER:
        return
    needed = patchelf("--print-needed", file).split()
    missing = " ".join(name for name in needed if name not in home)
    if missing:
        report = f"{file}: no input has {missing}"
        if PT_INTERP in has or is_public(file):
            raise SystemExit(report)
        print(report)  # a plugin for what the package at most recommends
    runpath = dict.fromkeys(str(home[name]) for name in needed if name in home)
    # One change a call: patchelf 0.18 breaks programs that are not position-independent
    # when it makes both at once.
    if runpath:
        patchelf("--set-rpath", ":".join(runpath), file)
    if PT_INTERP in has:
        patchelf("--set-interpreter", LOADER, file)


def program(name: str) -> Path | None:
    """The program of that name in the outputs or the inputs."""
    name = "sh" if name == "dash" else name
    found = (prefix / "bin" / name for prefix in PREFIXES)
    return next((path for path in found if path.exists()), None)


def relink_script(file: Path) -> None:
    """Point the first line at the store; `#!/usr/bin/env X` becomes `#!/nix/store/…/bin/X`."""
    first, newline, rest = file.read_bytes().partition(b"\n")
    interpreter, _, argument = first[2:].decode(errors="replace").strip().partition(" ")
    if interpreter.startswith("/nix/store/"):
        return
    if Path(interpreter).name == "env":
        interpreter, _, argument = argument.strip().partition(" ")
    found = program(Path(interpreter).name)
    if found:
        line = f"#!{found} {argument}".rstrip()
        file.write_bytes(line.encode() + newline + rest)


def plain_path(link: Path, target: str) -> str:
    """Where a link leads, as a path below a prefix: /usr/sbin/x and /sbin/x are /bin/x."""
    path = target if target.startswith("/") else os.path.normpath(link.parent / target)
    for prefix in (*map(str, OWN), "/usr"):
        path = path.removeprefix(prefix)
    return path.replace("/sbin/", "/bin/", 1) if path.startswith("/sbin/") else path


def relink_link(link: Path) -> None:
    """Point a link at the package that has the file; drop one that leads out of the store."""
    target = str(link.readlink())
    if link.exists() and not target.startswith("/"):
        return
    if target.startswith("/nix/store/"):
        return
    path = plain_path(link, target)
    found = next((p for prefix in PREFIXES if os.path.lexists(p := str(prefix) + path)), None)
    link.unlink()
    if found and found != str(link):
        link.symlink_to(found)
    else:
        print(f"dropped {link} -> {target}")


def contents() -> list[Path]:
    """The files and links of the outputs, in one order everywhere; each inode once."""
    found: dict[int, Path] = {}
    for output in OWN:
        for directory, subdirectories, names in os.walk(output):
            subdirectories.sort()
            for name in sorted([*names, *subdirectories]):
                path = Path(directory, name)
                if path.is_symlink() or path.is_file():
                    found.setdefault(path.lstat().st_ino, path)
    return list(found.values())


def relink_links() -> None:
    for link in contents():
        if link.is_symlink():
            relink_link(link)


def relink_files() -> None:
    home = libraries()
    for file in contents():
        if file.is_symlink():
            continue
        with file.open("rb") as stream:
            magic = stream.read(4)
        if magic == b"\x7fELF":
            relink_elf(file, home)
        elif magic.startswith(b"#!") and os.access(file, os.X_OK):
            relink_script(file)


if __name__ == "__main__":
    relink_files()
