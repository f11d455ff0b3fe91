"""What does not evaluate or build is told as Nix tells it, and only once."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from real.nix.tiny import FLAKE, fails, make, names

from nix2oci.errors import BuildError, NixCommandError, NixError
from nix2oci.nix.client import NixClient

pytestmark = pytest.mark.nix


def test_no_flake(nix: NixClient, tmp_path: Path) -> None:
    error = fails(nix, NixCommandError, f"{tmp_path}#app")
    assert str(error) == f"cannot evaluate '{tmp_path}#app': could not find a flake.nix file"
    assert error.hint == (
        "name the directory of a flake, as in 'path:/dir#app', or use --file FILE ATTRIBUTE"
    )
    assert error.exit_code == 3


def test_an_attribute_that_is_not_there(nix: NixClient, flake: Path, shown: list[str]) -> None:
    text = f"path:{flake}#nope"
    error = fails(nix, NixError, text)
    assert str(error) == (
        f"cannot evaluate '{text}': the flake has no package or app 'nope' for {nix.system()}"
    )
    assert error.hint is not None
    assert error.hint.startswith("it has the packages 'app', 'asserts', 'broken-meta', 'chosen', ")
    assert error.hint.endswith(" and the apps 'app', 'host', 'only', 'source'")
    assert shown == []


@pytest.mark.parametrize(
    ("attr", "what", "hint"),
    [
        ("text", "a string", None),
        ("number", "an integer", None),
        ("null", "null", None),
        ("function", "a function", None),
        ("list", "a list", None),
        ("set", "an attribute set", "it has the attributes 'a', 'b'"),
    ],
)
def test_what_cannot_be_built(
    nix: NixClient, flake: Path, attr: str, what: str, hint: str | None
) -> None:
    error = fails(nix, NixError, f"path:{flake}#{attr}")
    assert str(error) == (
        f"cannot build 'path:{flake}#{attr}': it is {what}, not a derivation or an app"
    )
    assert (error.hint, error.exit_code) == (hint, 3)


def test_an_app_of_the_host(nix: NixClient, flake: Path) -> None:
    error = fails(nix, NixError, f"path:{flake}#host")
    assert str(error) == (
        f"cannot use the app 'path:{flake}#host': its program '/usr/bin/env' is not in the store"
    )


@pytest.mark.parametrize(
    ("attr", "causes"),
    [
        ("throws", {"no thanks"}),
        ("asserts", {"assertion 'false' failed"}),
        ("endless", {"infinite recursion encountered"}),
    ],
)
def test_what_does_not_evaluate(
    nix: NixClient, flake: Path, shown: list[str], attr: str, causes: set[str]
) -> None:
    text = f"path:{flake}#{attr}"
    error = fails(nix, NixCommandError, text)
    assert str(error) in {f"cannot evaluate '{text}': {cause}" for cause in causes}
    (cause,) = causes
    assert not [line for line in shown if line.strip() == f"error: {cause}"]


def test_a_file_that_does_not_parse(
    nix: NixClient, write: Callable[..., Path], shown: list[str]
) -> None:
    directory = write("{ outputs = { self }: { ; }; }").parent
    error = fails(nix, NixCommandError, f"path:{directory}#app")
    assert str(error).startswith(
        f"cannot evaluate 'path:{directory}#app': syntax error, unexpected"
    )
    assert any("flake.nix:1:" in line for line in shown)


def test_a_failure_that_nix_has_cached_is_not_repeated(
    nix: NixClient, flake: Path, repository: Callable[..., str]
) -> None:
    repository("add", ".")
    repository("commit", "-q", "-m", "x")
    argv = ["nix", "--extra-experimental-features", "nix-command flakes", "build", "--no-link"]
    for _ in range(2):
        done = subprocess.run(
            [*argv, f"{flake}#throws"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
    error = fails(nix, NixCommandError, f"{flake}#throws")
    assert str(error) == f"cannot evaluate '{flake}#throws': no thanks"


def test_import_from_derivation(nix_of: Callable[..., NixClient], flake: Path) -> None:
    nix = nix_of("--option", "allow-import-from-derivation", "false")
    error = fails(nix, NixCommandError, f"path:{flake}#imports-it")
    assert error.hint == "allow it with --option allow-import-from-derivation true"
    assert error.exit_code == 3


def test_the_environment_is_seen_only_when_impure(
    nix_of: Callable[..., NixClient], flake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAME", "seen")
    (pure,), _ = make(nix_of(), f"path:{flake}#environment")
    (impure,), _ = make(nix_of("--impure"), f"path:{flake}#environment")
    assert names(pure.roots) == ["environment-x"]
    assert names(impure.roots) == ["environment-seenx"]


def test_an_input_that_is_overridden(
    nix_of: Callable[..., NixClient], write: Callable[..., Path], flake: Path
) -> None:
    other = write(
        """{
          inputs.base.url = "path:/nope";
          outputs = { self, base }: { packages.SYSTEM.default = base.packages.SYSTEM.several; };
        }""",
        "other/flake.nix",
    ).parent
    options = ("--override-input", "base", f"path:{flake}", "--no-write-lock-file")
    (built,), _ = make(nix_of(*options), f"path:{other}")
    assert names(built.roots) == ["several-2.0"]
    assert not (other / "flake.lock").exists()


def test_a_builder_that_fails(nix: NixClient, flake: Path, shown: list[str]) -> None:
    text = f"path:{flake}#fails"
    package = nix.evaluate(nix.installable(text))
    drv = package.wanted[0].path
    error = fails(nix, BuildError, text)
    assert str(error) in {
        f"cannot build '{text}': builder for '{drv}' failed with exit code 3",
        f"cannot build '{text}': cannot build '{drv}': builder failed with exit code 3",
    }
    assert error.hint == f"see the whole log with 'nix log {drv}'"
    assert error.exit_code == 4
    said = "\n".join(shown)
    assert "> first\n" in said
    assert said.count("> second") == 1


def test_another_system(nix: NixClient, nix_of: Callable[..., NixClient], flake: Path) -> None:
    error = fails(nix, NixCommandError, f"path:{flake}#foreign")
    assert str(error).startswith(f"cannot build 'path:{flake}#foreign': ")
    assert error.hint == (
        "name another system with --system, or give Nix a remote builder or binfmt emulation"
    )
    assert error.exit_code == 3
    foreign = nix_of("--system", "riscv64-linux")
    missing = fails(foreign, NixError, f"path:{flake}#app")
    assert str(missing).endswith("the flake has no package or app 'app' for riscv64-linux")


def test_a_path_that_nobody_can_make(nix: NixClient) -> None:
    path = "/nix/store/00000000000000000000000000000000-nothing"
    error = fails(nix, BuildError, path)
    assert str(error).startswith(f"cannot build '{path}': ")


def test_a_derivation_that_is_collected_before_its_build(
    nix: NixClient, write: Callable[..., Path]
) -> None:
    flake = write(FLAKE.replace("SEED", str(time.monotonic_ns())), "lost/flake.nix").parent
    package = nix.evaluate(nix.installable(f"path:{flake}#several"))
    subprocess.run(["nix-store", "--delete", package.wanted[0].path], check=True)
    with nix.build([package]) as built:
        assert names(built[0].roots) == ["several-2.0"]


def test_a_root_is_held_and_then_not(nix: NixClient, write: Callable[..., Path]) -> None:
    flake = write(FLAKE.replace("SEED", str(time.monotonic_ns())), "held/flake.nix").parent
    package = nix.evaluate(nix.installable(f"path:{flake}#path-text"))
    with nix.build([package]) as built:
        path = str(built[0].roots[0])
        refused = subprocess.run(
            ["nix-store", "--delete", path], capture_output=True, text=True, check=False
        )
        assert refused.returncode != 0
        assert "still alive" in refused.stderr
        assert Path(path).exists()
    subprocess.run(["nix-store", "--delete", path], check=True, capture_output=True)
    assert not Path(path).exists()
