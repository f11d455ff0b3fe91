"""An installation that lacks a library, or has another one: what it says, and what it builds."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT
from support.terminal import Terminal
from support.wrapped_app import WRAPPED, give

DEFLATE_OF_ZLIB = """
import zlib
from importlib.metadata import version
from zlib import crc32

__version__ = version("deflate")

def deflate_compress(data, level):
    return zlib.compress(data, level, wbits=-15)
"""
MAGIC_WITHOUT_LIBRARY = "raise ImportError('failed to find libmagic.  Check your installation')"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def modules(tmp_path: Path, **texts: str) -> str:
    """A directory of modules that come before those that are installed."""
    directory = tmp_path / "modules"
    directory.mkdir()
    for name, text in texts.items():
        (directory / f"{name}.py").write_text(text)
    return str(directory)


def missing(name: str) -> str:
    return f"raise ModuleNotFoundError(\"No module named '{name}'\")"


@pytest.mark.parametrize(
    ("package", "compression", "hint"),
    [
        ("deflate", "gzip", "install deflate, or --compression zstd"),
        ("zstandard", "zstd", "install zstandard, or --compression gzip"),
        ("zstandard", "zstd:chunked", "install zstandard, or --compression gzip"),
        ("fastcrc", "zstd:chunked", "install fastcrc, or --compression zstd"),
    ],
)
def test_a_compressor_that_is_not_installed_is_named_and_nothing_is_made(
    package: str, compression: str, hint: str, terminal: Terminal, tmp_path: Path
) -> None:
    path = modules(tmp_path, **{package: missing(package)})
    options = ("build", ".#app", "-q", "-o", "x")
    done = terminal.run(*options, "--compression", compression, PYTHONPATH=path)
    said = f"error: cannot compress with {compression}: Python has no package '{package}'"
    assert (done.returncode, done.stderr.splitlines()) == (2, [said, f"hint: {hint}"])
    assert terminal.left() == []


def test_without_deflate_zstd_gives_the_image_that_it_gives_with_it(
    terminal: Terminal, tmp_path: Path
) -> None:
    path = modules(tmp_path, deflate=missing("deflate"))
    options = ("build", ".#app", "--json", "--compression", "zstd")
    without = terminal.run(*options, "-o", "without", PYTHONPATH=path)
    assert without.returncode == 0, without.stderr
    assert digest(without.stdout) == digest(terminal.run(*options, "-o", "with").stdout)


def digest(document: str) -> Any:
    return json.loads(document)["digest"]


def test_another_compressor_is_named_and_said(terminal: Terminal, tmp_path: Path) -> None:
    path = modules(tmp_path, deflate=DEFLATE_OF_ZLIB)
    done = terminal.run("build", ".#app", "--json", "-o", "x", PYTHONPATH=path)
    name = json.loads(done.stdout)["compressor"]
    released = json.loads(terminal.run("build", ".#app", "--json", "-o", "y").stdout)
    assert name.startswith(f"{released['compressor']} (gives ")
    assert f"{name} gives other bytes than releases of nix2oci do: digests differ" in done.stderr
    assert released["digest"] != digest(done.stdout)


def test_the_launcher_is_named_and_another_one_is_said(terminal: Terminal, tmp_path: Path) -> None:
    give(terminal, WRAPPED)
    released = terminal.run("build", ".#app", "--json", "-o", "x")
    known = (ROOT / "nix2oci/launcher/launchers.sha256").read_text()
    launcher = json.loads(released.stdout)["launcher"]
    assert launcher["released"] is True
    assert f"{launcher['digest'].removeprefix('sha256:')}  launcher-x86_64\n" in known
    assert "another launcher" not in released.stderr

    changed = shutil.copytree(ROOT / "nix2oci", tmp_path / "other/nix2oci")
    template = changed / "launcher/launcher-x86_64"
    template.write_bytes(template.read_bytes().replace(b"AWAVAUATSH", b"AWAVAUATSh", 1))
    done = terminal.run("build", ".#app", "--json", "-o", "y", PYTHONPATH=str(tmp_path / "other"))
    sha256 = hashlib.sha256(template.read_bytes()).hexdigest()
    assert json.loads(done.stdout)["launcher"] == {"digest": f"sha256:{sha256}", "released": False}
    said = "this nix2oci has another launcher for x86_64 than its releases: digests differ"
    assert said in done.stderr
    assert digest(released.stdout) != digest(done.stdout)


def test_an_image_without_a_launcher_names_none(terminal: Terminal) -> None:
    assert json.loads(terminal.run("build", ".#app", "--json").stdout)["launcher"] is None


@pytest.mark.parametrize(
    ("libraries", "kind"),
    [
        pytest.param({}, "ASCII text", id="with both"),
        pytest.param(
            {"pylibmagic": missing("pylibmagic"), "magic": missing("magic")}, "text", id="neither"
        ),
        pytest.param(
            {"pylibmagic": missing("pylibmagic"), "magic": MAGIC_WITHOUT_LIBRARY},
            "text",
            id="no libmagic",
        ),
    ],
)
def test_a_wrong_file_is_named_with_and_without_libmagic(
    libraries: dict[str, str], kind: str, terminal: Terminal, tmp_path: Path
) -> None:
    (terminal.directory / "notes.txt").write_text("hello\n")
    done = terminal.run("inspect", "notes.txt", PYTHONPATH=modules(tmp_path, **libraries))
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        8,
        f"error: cannot read notes.txt: it is not a tar archive, it is {kind}",
    )
