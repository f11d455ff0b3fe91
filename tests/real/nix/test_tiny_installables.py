"""All that a user can name is what `nix build` and `nix run` would take."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from real.nix.tiny import PRELUDE, fails, make, names

from nix2oci.errors import NixCommandError, NixError
from nix2oci.nix.client import NixClient

pytestmark = pytest.mark.nix


def test_a_package_with_its_meta(nix: NixClient, flake: Path) -> None:
    (built,), closure = make(nix, f"path:{flake}#app")
    package = built.package
    assert (package.name, package.version, package.system) == ("app", "1.0", nix.system())
    assert (package.main_program, package.description) == ("run", "An app")
    assert (package.homepage, package.license) == ("https://example.org/app", "MIT AND Zlib")
    assert (package.revision, package.last_modified, package.url) == ("", None, "")
    assert names(built.roots) == ["app-1.0", "tool"]
    assert built.program == str(built.roots[1])
    assert sorted(names(tuple(closure))) == ["app-1.0", "library-1.2", "tool"]
    app, tool = built.roots
    assert closure.infos[app].references == tuple(sorted((app, *closure.references(app))))
    assert names(closure.references(app)) == ["library-1.2"]
    assert Path(str(tool)).read_text() == "tool\n"


@pytest.mark.parametrize(
    ("attr", "roots"),
    [
        pytest.param("", ["app-1.0"], id="the default package"),
        pytest.param("#app^out", ["app-1.0", "tool"], id="an output, and the app"),
        pytest.param("^out", ["app-1.0"], id="an output of the default package"),
        pytest.param("#deep.er", ["app-1.0"], id="a nested attribute"),
        pytest.param('#"dotted.name"', ["app-1.0"], id="a quoted attribute"),
        pytest.param("#several", ["several-2.0"], id="out, though it is not the first output"),
        pytest.param("#several.dev", ["several-2.0-dev"], id="an output as an attribute"),
        pytest.param("#several^bin", ["several-2.0-bin"], id="an output that is named"),
        pytest.param(
            "#several^*", ["several-2.0-dev", "several-2.0", "several-2.0-bin"], id="all outputs"
        ),
        pytest.param("#chosen", ["several-2.0-bin", "several-2.0"], id="what meta wants installed"),
        pytest.param("#chosen^dev", ["several-2.0-dev"], id="named, whatever meta wants"),
        pytest.param("#broken-meta", ["app-1.0"], id="meta with fields that throw"),
        pytest.param("#no-meta", ["app-1.0"], id="meta that throws"),
        pytest.param("#path-text", ["tool"], id="a string that is a store path"),
        pytest.param("#only", ["several-2.0-bin"], id="an app without a package"),
        pytest.param("#packages.SYSTEM.app", ["app-1.0"], id="a package by its whole name"),
        pytest.param("#apps.SYSTEM.only", ["several-2.0-bin"], id="an app by its whole name"),
        pytest.param("#apps.SYSTEM.only.program", None, id="a string below a store path"),
        pytest.param("#legacyPackages.SYSTEM.app", None, id="a group that the flake lacks"),
    ],
)
def test_flake_installables(
    nix: NixClient, flake: Path, attr: str, roots: list[str] | None
) -> None:
    text = f"path:{flake}{attr.replace('SYSTEM', nix.system())}"
    if roots is None:
        fails(nix, NixError, text)
        return
    (built,), _ = make(nix, text)
    assert names(built.roots) == roots


def test_all_forms_of_one_package_are_one_path(
    nix: NixClient, flake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(flake)
    result = flake.parent / "result"
    argv = ["nix", "--extra-experimental-features", "nix-command flakes", "build"]
    subprocess.run([*argv, "--out-link", result, "path:.#deep.er"], check=True)
    package = nix.evaluate(nix.installable("path:.#deep.er"))
    forms = ("path:.#deep.er", str(result), os.readlink(result), package.wanted[0].path)
    built, closure = make(nix, *forms, f"{package.wanted[0].path}^out")
    assert len({one.roots for one in built}) == 1
    assert closure.roots == built[0].roots
    assert [one.package.name for one in built] == ["app"] * 5


def test_a_program_that_is_a_file_of_the_flake(nix: NixClient, flake: Path) -> None:
    (built,), _ = make(nix, f"path:{flake}#source")
    assert built.program == str(built.roots[0])
    assert Path(built.program).read_text() == "#!/bin/sh\n"


FILE = f"""{{ suffix ? "" }}: let {PRELUDE} in rec {{
  app = make "filed${{suffix}}-1" "echo x > $out" {{ }};
  nested.app = app;
}}
"""


@pytest.mark.parametrize(
    ("attr", "options", "name"),
    [
        pytest.param("app", (), "filed-1", id="an attribute"),
        pytest.param("nested.app^out", (), "filed-1", id="a nested attribute with an output"),
        pytest.param("app", ("--argstr", "suffix", "x"), "filedx-1", id="an argument"),
    ],
)
def test_files(
    nix_of: Callable[..., NixClient],
    write: Callable[..., Path],
    attr: str,
    options: tuple[str, ...],
    name: str,
) -> None:
    nix = nix_of(*options)
    (built,), _ = make(nix, nix.installable(attr, file=str(write(FILE, "default.nix"))))
    assert names(built.roots) == [name]


def test_a_file_that_is_a_derivation(nix: NixClient, write: Callable[..., Path]) -> None:
    file = write(f'{{ x ? 1 }}: let {PRELUDE} in make "whole-1" "echo x > $out" {{ }}', "x.nix")
    (built,), _ = make(nix, nix.installable("", file=str(file)))
    assert names(built.roots) == ["whole-1"]


def test_a_file_without_the_attribute(nix: NixClient, write: Callable[..., Path]) -> None:
    installable = nix.installable("nope", file=str(write(FILE, "default.nix")))
    with pytest.raises(NixCommandError) as caught:
        nix.evaluate(installable)
    assert str(caught.value).startswith(
        "cannot evaluate 'nope': attribute 'nope' in selection path"
    )


def test_revisions(
    nix_of: Callable[..., NixClient], flake: Path, repository: Callable[..., str], shown: list[str]
) -> None:
    def package() -> tuple[str, int | None]:
        nix = nix_of()
        found = nix.evaluate(nix.installable(f"{flake}#tool"))
        return found.revision, found.last_modified

    flake.joinpath("flake.nix").write_text(
        (flake / "flake.nix").read_text().replace("default = app;", "default = app; tool = tool;")
    )
    repository("add", ".")
    assert package() == ("", None)
    repository("commit", "-q", "-m", "x")
    revision = repository("rev-parse", "HEAD")
    shown.clear()
    assert package() == (revision, 1700000000)
    assert shown == []
    with (flake / "flake.nix").open("a") as file:
        file.write("\n")
    assert package() == (f"{revision}-dirty", None)
    dirty = [line for line in shown if "is dirty" in line]
    assert len(dirty) == 1


def test_a_flake_that_git_does_not_know(
    nix: NixClient, flake: Path, repository: Callable[..., str]
) -> None:
    repository("status")
    error = fails(nix, NixCommandError, f"{flake}#app")
    assert str(error).startswith(f"cannot evaluate '{flake}#app': ")
    assert "flake.nix" in str(error)
    assert error.hint == (
        "is the file there? In a git repository Nix sees only files known to git: 'git add' it"
    )
