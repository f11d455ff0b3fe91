"""The launchers of a package that is being built: given ready made, or compiled.

Their bytes get into images, so `nix2oci/launcher/launchers.sha256` says which they have to be. zig
compiles for both architectures by itself, and one version of it gives the same bytes on every
machine: the section table, which names what the linker made, is cut off, and no path or time gets
in. It is the `zig` on PATH where that is of this version, else the one of the `ziglang` wheel.

As a program, `python hatch_build.py DIR`, it puts them into a directory.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# e_machine of the ELF specification, by the name that Nix and the kernel have for it.
MACHINES = {"x86_64": 62, "aarch64": 183}
ZIG = "0.17.1"
GIVEN = "NIX2OCI_LAUNCHERS"
"""The variable that names a directory with both launchers: nothing is compiled then."""
ANY = "NIX2OCI_ANY_LAUNCHERS"
"""The variable by which launchers may have other bytes than launchers.sha256 says."""

_HERE = Path("nix2oci/launcher")
_FLAGS = (
    "-Os",
    "-std=c11",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-ffreestanding",  # also keeps loops from becoming calls of memcpy
    "-nostdlib",
    "-static",
    "-fno-pie",
    "-fno-stack-protector",
    "-fno-sanitize=all",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fno-ident",
    "-Wl,--build-id=none",
    "-Wl,-z,max-page-size=65536",
)


class LauncherError(Exception):
    """Why there are no launchers, in one line, and what would help."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class LauncherHook(BuildHookInterface[Any]):
    """Puts `launcher-MACHINE` beside its source, for wheels, sdists and editable installs."""

    def dependencies(self) -> list[str]:
        """The wheel of the compiler, where the launchers are to be compiled and no zig will do."""
        if _ready(Path(self.root), _environment()) or _zig_on_path(_environment()):
            return []
        return [f"ziglang=={ZIG}"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del version
        root = Path(self.root)
        try:
            made = launchers(root, _environment())
            _write(made, root / _HERE)
        except LauncherError as error:
            self.app.abort(f"error: {error}\nhint: {error.hint}")
            return
        build_data["artifacts"] += [f"/{_HERE}/{name}" for name in made]


def _environment() -> Mapping[str, str]:
    return os.environ  # noqa: TID251 - a build has no command line to take it from


def launchers(root: Path, environment: Mapping[str, str]) -> dict[str, bytes]:
    """Both launchers without operations, by file name, for the source tree `root`.

    Raises `LauncherError` where there are none, and where their bytes are not the known ones.
    """
    directory = _ready(root, environment)
    if directory:
        made, by = _read(directory), f"in '{directory}'"
    else:
        zig, version = _compiler(environment)
        source = root / _HERE
        made = {f"launcher-{name}": compile_launcher(source, name, zig) for name in MACHINES}
        by = f"by zig {version}"
    for machine, number in MACHINES.items():
        if not _is_launcher(made[f"launcher-{machine}"], number):
            raise LauncherError(
                f"cannot build nix2oci: launcher-{machine} {by} is no launcher for {machine}",
                f"without {GIVEN} the launchers are compiled",
            )
    known = known_digests(root / _HERE)
    other = [name for name in made if hashlib.sha256(made[name]).hexdigest() != known.get(name)]
    if other and not _any_will_do(environment):
        raise LauncherError(
            f"cannot build nix2oci: {' and '.join(other)} {by} {'have' if other[1:] else 'has'} "
            "another digest than launchers.sha256 says, and images would have others, too",
            f"take zig {ZIG}, as `pip install ziglang=={ZIG}` has it, or set {ANY}=1 to allow it",
        )
    return made


def _write(made: Mapping[str, bytes], directory: Path) -> None:
    """Only what is not there already: an unpacked sdist may be read-only."""
    for name, content in made.items():
        file = directory / name
        try:
            if not file.exists() or file.read_bytes() != content:
                file.write_bytes(content)
        except OSError as error:
            raise LauncherError(
                f"cannot write '{file}': {error.strerror}", "build in a copy that can be written to"
            ) from error


def known_digests(source: Path) -> dict[str, str]:
    """The SHA-256 of each launcher by its file name, from launchers.sha256, as sha256sum has it."""
    lines = (source / "launchers.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def _is_launcher(content: bytes, number: int) -> bool:
    head = content[:20].ljust(20, b"\0")
    (found,) = struct.unpack_from("<H", head, 18)
    return head.startswith(b"\x7fELF") and found == number and b"N2OCIOP1" in content


def _any_will_do(environment: Mapping[str, str]) -> bool:
    return environment.get(ANY, "") not in {"", "0"}


def _ready(root: Path, environment: Mapping[str, str]) -> Path | None:
    """The directory that has the launchers: the one that is given, or a released sdist's own."""
    if environment.get(GIVEN):
        return root / environment[GIVEN]
    is_sdist = (root / "PKG-INFO").exists()
    source = root / _HERE
    return source if is_sdist and (source / "launcher-x86_64").exists() else None


def _read(directory: Path) -> dict[str, bytes]:
    names = [f"launcher-{machine}" for machine in MACHINES]
    try:
        return {name: (directory / name).read_bytes() for name in names}
    except OSError as error:
        raise LauncherError(
            f"cannot read the launcher '{error.filename}': {error.strerror}",
            f"{GIVEN} names a directory with {' and '.join(names)}; without it they are compiled",
        ) from error


def _compiler(environment: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """The command that is zig, and its version: `ZIG` where there is one, else what there is."""
    found = {version: zig for zig, version in reversed([*_zigs(environment)])}
    if not found:
        raise LauncherError(
            "cannot compile the launchers: there is no zig",
            f"pip install ziglang=={ZIG}, or have zig {ZIG} on PATH; "
            f"{GIVEN}=DIR takes ready-made launchers",
        )
    version = ZIG if ZIG in found else next(reversed(found))
    return found[version], version


def _zigs(environment: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], str]]:
    zig = shutil.which("zig", path=environment.get("PATH"))
    if zig:
        yield (zig,), _version((zig,))
    if importlib.util.find_spec("ziglang"):
        module = (sys.executable, "-m", "ziglang")
        yield module, _version(module)


def _zig_on_path(environment: Mapping[str, str]) -> bool:
    """Whether the zig on PATH may compile the launchers."""
    zig = shutil.which("zig", path=environment.get("PATH"))
    return bool(zig) and (_any_will_do(environment) or _version((str(zig),)) == ZIG)


def _version(zig: Sequence[str]) -> str:
    try:
        done = subprocess.run([*zig, "version"], capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return "of no version"
    return done.stdout.strip() or "of no version"


def compile_launcher(source: Path, machine: str, zig: Sequence[str]) -> bytes:
    """The launcher without operations, from the directory of its source, by the command `zig`.

    Raises `LauncherError` when it does not compile; the compiler says why on stderr.
    """
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "launcher"
        command = [*zig, "cc", "-target", f"{machine}-linux-none"]
        # Its cache would be in the home directory, which a build may not have.
        cache = {"ZIG_GLOBAL_CACHE_DIR": scratch, "ZIG_LOCAL_CACHE_DIR": scratch}
        try:
            subprocess.run(  # noqa: S603 - the compiler, with arguments as a list
                [*command, *_FLAGS, "-T", "launcher.ld", "launcher.c", "-o", str(output)],
                cwd=source,
                check=True,
                env={**_environment(), **cache},
            )
            return without_sections(output.read_bytes())
        except (OSError, subprocess.CalledProcessError, struct.error) as error:
            raise LauncherError(
                f"cannot compile launcher-{machine}: '{zig[-1]}' failed",
                f"what it says is above; zig {ZIG} compiles it; {GIVEN}=DIR takes ready-made ones",
            ) from error


def without_sections(elf: bytes) -> bytes:
    """A 64-bit little-endian ELF up to the end of its last segment, and no section table."""
    (e_phoff,) = struct.unpack_from("<Q", elf, 32)
    e_phentsize, e_phnum = struct.unpack_from("<HH", elf, 54)
    ends = []
    for number in range(e_phnum):
        at = e_phoff + number * e_phentsize
        p_offset, _, _, p_filesz = struct.unpack_from("<QQQQ", elf, at + 8)
        ends.append(p_offset + p_filesz)
    cut = bytearray(elf[: max(ends)])
    struct.pack_into("<Q", cut, 40, 0)  # e_shoff
    struct.pack_into("<HHH", cut, 58, 64, 0, 0)  # e_shentsize, e_shnum, e_shstrndx
    return bytes(cut)


def main() -> None:
    """Put the launchers of this checkout into the directory that the command line names."""
    if len(sys.argv) != 2:
        raise SystemExit("usage: python hatch_build.py DIR")
    directory = Path(sys.argv[1])
    try:
        made = launchers(Path(__file__).parent, _environment())
        directory.mkdir(parents=True, exist_ok=True)
        _write(made, directory)
    except LauncherError as error:
        raise SystemExit(f"error: {error}\nhint: {error.hint}") from None


if __name__ == "__main__":
    main()
