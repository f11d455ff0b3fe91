"""hatch_build.py: where the launchers of a package come from, and what it says when there are none.

Each build is hatchling's own, on a copy of the sources, with a Python that has hatchling and
nothing else: no ziglang, unless a row brings one. A `zig` is a script that writes a launcher which
was made before, or another one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from support.paths import ROOT

from nix2oci.launcher.encoder import MACHINES

LAUNCHERS = ROOT / "nix2oci/launcher"
SOURCES = ("hatch_build.py", "pyproject.toml", "README.md", "LICENSE", ".gitignore")
HATCHLING = ("hatchling", "packaging", "pathspec", "pluggy", "trove_classifiers")
KNOWN = {
    name: digest
    for digest, name in map(str.split, (LAUNCHERS / "launchers.sha256").read_text().splitlines())
}
REQUIRES = "import hatchling.build as b; print(b.get_requires_for_build_{}())"


def change(launcher: Path) -> bytes:
    """Let a launcher be another one."""
    content = bytearray(launcher.read_bytes())
    content[200] ^= 1
    launcher.write_bytes(content)
    return bytes(content)


def zig(version: str, *, suffix: str = "", status: int = 0) -> str:
    """A compiler that says this version, and `compiles` the launcher of its target."""
    return f"""#!/bin/sh
[ "$1" = version ] && echo {version} && exit
echo compiling >&2
while [ $# -gt 1 ]; do
  case $1 in -target) machine=${{2%%-*}} ;; -o) output=$2 ;; esac
  shift
done
cat "{LAUNCHERS}/launcher-$machine" >"$output"
printf '%s' '{suffix}' | dd of="$output" bs=1 seek=200 conv=notrunc 2>/dev/null
exit {status}
"""


class Builder:
    """A copy of the sources, a directory of programs, and what a build of it gives."""

    def __init__(self, directory: Path) -> None:
        self.tree, self.programs = directory / "tree", directory / "bin"
        shutil.copytree(
            ROOT / "nix2oci",
            self.tree / "nix2oci",
            ignore=shutil.ignore_patterns("launcher-*", "__pycache__"),
        )
        shutil.copytree(ROOT / "share", self.tree / "share")
        for name in SOURCES:
            shutil.copy(ROOT / name, self.tree)
        self.programs.mkdir()
        for name in ("sh", "cat", "dd"):
            (self.programs / name).symlink_to(shutil.which(name) or name)
        self.modules = directory / "modules"
        self.modules.mkdir()
        for name in HATCHLING:
            spec = importlib.util.find_spec(name)
            assert spec is not None
            assert spec.origin is not None
            (self.modules / name).symlink_to(Path(spec.origin).parent)

    def add_zig(self, text: str) -> None:
        (self.programs / "zig").write_text(text)
        (self.programs / "zig").chmod(0o755)

    def python(self, *argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
        path = {"PATH": str(self.programs), "PYTHONPATH": str(self.modules)}
        return subprocess.run(
            [sys.executable, "-S", *argv],
            cwd=self.tree,
            env=path | {"PYTHONDONTWRITEBYTECODE": "1"} | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def build(self, target: str = "wheel", **variables: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "hatchling", "build", "-t", target, **variables)

    def requires(self, target: str = "wheel", **variables: str) -> str:
        done = self.python("-c", REQUIRES.format(target), **variables)
        assert done.stderr == ""
        return done.stdout.strip()

    def in_wheel(self) -> dict[str, str]:
        """The digest of each launcher in the wheel."""
        (wheel,) = (self.tree / "dist").glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return {
                Path(name).name: hashlib.sha256(archive.read(name)).hexdigest()
                for name in archive.namelist()
                if Path(name).name.startswith("launcher-")
            }


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A directory with ready-made launchers."""
    directory = tmp_path / "given"
    directory.mkdir()
    for machine in MACHINES:
        shutil.copy(LAUNCHERS / f"launcher-{machine}", directory)
    return directory


WHEEL = "['ziglang==0.17.1']"


def test_developers_have_the_compiler_that_the_hook_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert str([one for one in project["optional-dependencies"]["dev"] if "zig" in one]) == WHEEL


def test_the_wheel_of_the_compiler_is_asked_for_only_where_nothing_else_will_do(
    builder: Builder, given: Path
) -> None:
    assert builder.requires() == WHEEL
    assert builder.requires("sdist") == WHEEL
    assert builder.requires(NIX2OCI_LAUNCHERS=str(given)) == "[]"
    builder.add_zig(zig("0.16.0"))
    assert builder.requires() == WHEEL
    assert builder.requires(NIX2OCI_ANY_LAUNCHERS="1") == "[]"
    assert builder.requires(NIX2OCI_ANY_LAUNCHERS="0") == WHEEL
    builder.add_zig(zig("0.17.1"))
    assert builder.requires() == "[]"
    (builder.programs / "zig").write_text("#!/no/such/interpreter\n")
    assert builder.requires() == WHEEL


@pytest.mark.parametrize(
    ("version", "launchers"),
    [
        pytest.param(None, "given", id="launchers that are given, and no zig"),
        pytest.param("0.17.1", None, id="the zig on PATH, and no wheel of it"),
        pytest.param("0.16.0", None, id="another zig, whose launchers are the same bytes"),
    ],
)
def test_a_wheel_has_the_known_launchers(
    version: str | None, launchers: str | None, builder: Builder, given: Path
) -> None:
    if version:
        builder.add_zig(zig(version))
    done = builder.build(**({"NIX2OCI_LAUNCHERS": f"../{given.name}"} if launchers else {}))
    assert done.returncode == 0, done.stderr
    assert builder.in_wheel() == KNOWN


def test_a_wheel_has_man_pages_and_completions_for_where_it_is_installed(
    builder: Builder, given: Path
) -> None:
    assert builder.build(NIX2OCI_LAUNCHERS=str(given)).returncode == 0
    (wheel,) = (builder.tree / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name.partition(".data/data/")[2] for name in archive.namelist()]
    share = [path for path in (ROOT / "share").rglob("*") if path.is_file()]
    assert {name for name in names if name} == {str(path.relative_to(ROOT)) for path in share}


def test_an_sdist_carries_the_launchers_and_its_wheel_needs_no_zig(builder: Builder) -> None:
    builder.add_zig(zig("0.17.1"))
    assert builder.build("sdist").returncode == 0
    (sdist,) = (builder.tree / "dist").glob("*.tar.gz")
    unpacked = builder.tree.parent / "unpacked"
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (builder.tree,) = unpacked.iterdir()
    (builder.programs / "zig").unlink()
    done = builder.build()
    assert done.returncode == 0, done.stderr
    assert builder.in_wheel() == KNOWN


def test_as_a_program_it_puts_the_launchers_into_a_directory(builder: Builder) -> None:
    done = builder.python("hatch_build.py", "made")
    assert (done.returncode, done.stderr) == (1, NO_ZIG)
    builder.add_zig(zig("0.17.1"))
    assert builder.python("hatch_build.py", "made").returncode == 0
    made = {path.name: path.read_bytes() for path in (builder.tree / "made").iterdir()}
    assert {name: hashlib.sha256(made[name]).hexdigest() for name in made} == KNOWN


def test_launchers_of_an_earlier_build_are_not_taken_for_those_of_the_source(
    builder: Builder,
) -> None:
    for machine in MACHINES:
        (builder.tree / f"nix2oci/launcher/launcher-{machine}").write_bytes(b"of yesterday")
    builder.add_zig(zig("0.17.1"))
    assert builder.build().returncode == 0
    assert builder.in_wheel() == KNOWN


NO_ZIG = """\
error: cannot compile the launchers: there is no zig
hint: pip install ziglang==0.17.1, or have zig 0.17.1 on PATH; NIX2OCI_LAUNCHERS=DIR takes \
ready-made launchers
"""
OTHER = """\
error: cannot build nix2oci: {} another digest than launchers.sha256 says, and images would have \
others, too
hint: take zig 0.17.1, as `pip install ziglang==0.17.1` has it, or set NIX2OCI_ANY_LAUNCHERS=1 to \
allow it
"""
FAILS = """\
compiling
error: cannot compile launcher-x86_64: 'zig' failed
hint: what it says is above; zig 0.17.1 compiles it; NIX2OCI_LAUNCHERS=DIR takes ready-made ones
"""
NO_LAUNCHER = """\
error: cannot build nix2oci: launcher-aarch64 in 'swapped' is no launcher for aarch64
hint: without NIX2OCI_LAUNCHERS the launchers are compiled
"""
NOT_THERE = """\
error: cannot read the launcher 'nowhere/launcher-x86_64': No such file or directory
hint: NIX2OCI_LAUNCHERS names a directory with launcher-x86_64 and launcher-aarch64; without it \
they are compiled
"""


@pytest.mark.parametrize(
    ("compiler", "variables", "said"),
    [
        pytest.param(None, {}, NO_ZIG, id="no zig"),
        pytest.param(
            zig("0.16.0", suffix="x"),
            {},
            "compiling\n" * 2
            + OTHER.format("launcher-x86_64 and launcher-aarch64 by zig 0.16.0 have"),
            id="a zig of another version, whose launchers are other bytes",
        ),
        pytest.param(zig("0.17.1", status=1), {}, FAILS, id="a zig that fails"),
        pytest.param(
            None,
            {"NIX2OCI_LAUNCHERS": "nowhere"},
            NOT_THERE,
            id="launchers that are not there",
        ),
        pytest.param(
            None,
            {"NIX2OCI_LAUNCHERS": "changed"},
            OTHER.format("launcher-aarch64 in 'changed' has"),
            id="given launchers, one of which is another",
        ),
        pytest.param(
            None,
            {"NIX2OCI_LAUNCHERS": "swapped", "NIX2OCI_ANY_LAUNCHERS": "1"},
            NO_LAUNCHER,
            id="given launchers, one of which is for another machine",
        ),
    ],
)
def test_a_build_without_the_known_launchers_fails_in_one_line(
    compiler: str | None,
    variables: dict[str, str],
    said: str,
    builder: Builder,
    given: Path,
) -> None:
    change(shutil.copytree(given, builder.tree / "changed") / "launcher-aarch64")
    swapped = shutil.copytree(given, builder.tree / "swapped")
    (swapped / "launcher-aarch64").write_bytes((given / "launcher-x86_64").read_bytes())
    if compiler:
        builder.add_zig(compiler)
    done = builder.build(**variables)
    here = f"{builder.tree}/"
    shown = done.stderr.replace(here, "").replace(f"'{builder.programs}/", "'")
    assert (done.returncode, shown, done.stdout) == (1, said, "")
    assert not list(builder.tree.glob("dist/*.whl"))


def test_other_launchers_are_allowed_by_a_variable(builder: Builder, given: Path) -> None:
    changed = change(given / "launcher-aarch64")
    done = builder.build(NIX2OCI_LAUNCHERS=str(given), NIX2OCI_ANY_LAUNCHERS="1")
    assert done.returncode == 0, done.stderr
    assert builder.in_wheel() == KNOWN | {"launcher-aarch64": hashlib.sha256(changed).hexdigest()}
