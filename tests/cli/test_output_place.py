"""Where an image may be written beside a flake, and which files decide how it is made."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support.fakenix import SOURCE
from support.terminal import Terminal

from nix2oci.oci.validate.check_image import validate_layout

BUILD = ("build", "--no-cache")
URL = "path:/srv/tools?narHash=sha256-x"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """In a flake that is in no repository."""
    terminal = Terminal.make(tmp_path)
    (terminal.directory / "flake.nix").write_text("{ }")
    (terminal.directory / "sub").mkdir()
    return terminal


def in_git(terminal: Terminal) -> None:
    done = subprocess.run(["git", "init", "-q", terminal.directory], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("args", "output", "elsewhere"),
    [
        pytest.param((), "image.oci", "../image.oci", id="the default"),
        pytest.param((".#app",), "app.oci", "../app.oci", id="the default of a package"),
        pytest.param(("--name", "h/a"), "a.oci", "../a.oci", id="the default of a name"),
        pytest.param(("-o", "x.tar"), "x.tar", "../x.tar", id="an archive"),
        pytest.param(("-o", "sub/x"), "sub/x", "../x", id="a directory below"),
        pytest.param(("path:.", "-o", "x"), "x", "../x", id="a flake by its scheme"),
        pytest.param(("--contents", "path:.#y", "-o", "x"), "x", "../x", id="a flake of contents"),
    ],
)
def test_no_image_is_written_into_a_flake_that_nix_copies_whole(
    args: tuple[str, ...], output: str, elsewhere: str, terminal: Terminal
) -> None:
    done = terminal.run(*BUILD, *args)
    whole = terminal.directory.resolve()
    said = "it would be in the next image, since Nix copies all of"
    assert (done.returncode, done.stderr.splitlines()[-2:]) == (
        2,
        [
            f"error: cannot write {output}: {said} {whole}",
            f"hint: write it elsewhere: -o {elsewhere}",
        ],
    )
    assert terminal.fake.calls == []
    assert terminal.left() == ["flake.nix", "sub"]


def test_in_git_a_path_is_copied_whole_nevertheless(terminal: Terminal) -> None:
    in_git(terminal)
    assert terminal.run(*BUILD, "path:.").returncode == 2


def test_elsewhere_it_is_written_and_nothing_is_added(terminal: Terminal) -> None:
    assert terminal.run(*BUILD, "-o", "../x.oci").returncode == 0
    names = sorted(path.name for path in (terminal.directory.parent / "x.oci").iterdir())
    assert names == ["blobs", "index.json", "oci-layout"]


def test_a_layout_in_a_work_tree_is_ignored_by_git(terminal: Terminal) -> None:
    in_git(terminal)
    for _ in range(2):
        assert terminal.run(*BUILD).returncode == 0
    layout = terminal.directory / "app.oci"
    assert (layout / ".gitignore").read_text() == "*\n"
    assert validate_layout(str(layout), 1) == ()
    status = ["git", "-C", str(terminal.directory), "status", "--short"]
    said = subprocess.run(status, capture_output=True, text=True, check=True).stdout
    assert said == "?? flake.nix\n"


def test_a_gitignore_that_is_there_stays(terminal: Terminal) -> None:
    in_git(terminal)
    terminal.run(*BUILD)
    (terminal.directory / "app.oci/.gitignore").write_text("blobs\n")
    assert terminal.run(*BUILD).returncode == 0
    assert (terminal.directory / "app.oci/.gitignore").read_text() == "blobs\n"


def test_an_index_in_a_work_tree_is_ignored_by_git(terminal: Terminal) -> None:
    in_git(terminal)
    terminal.run(*BUILD, "-o", "../x.oci")
    assert terminal.run("index", "../x.oci", "-o", "i.oci").returncode == 0
    assert (terminal.directory / "i.oci/.gitignore").read_text() == "*\n"
    done = terminal.run("index", "../x.oci", "-o", "i.tar")
    assert "nix2oci: git does not ignore i.tar: add it to .gitignore\n" in done.stderr


@pytest.mark.parametrize("ignored", [True, False])
def test_an_archive_that_git_would_take_gets_a_line(terminal: Terminal, *, ignored: bool) -> None:
    in_git(terminal)
    (terminal.directory / ".gitignore").write_text("*.tar\n" if ignored else "")
    done = terminal.run(*BUILD, "-o", "x.tar")
    line = "nix2oci: git does not ignore x.tar: add it to .gitignore"
    assert done.returncode == 0
    assert (line in done.stderr.splitlines()) is not ignored


def test_what_a_derivation_makes_has_nothing_for_git(terminal: Terminal) -> None:
    in_git(terminal)
    top = str(terminal.directory)
    done = terminal.run(*BUILD, "-o", "x.tar", NIX_BUILD_TOP=top)
    assert "git" not in done.stderr
    assert terminal.run(*BUILD, NIX_BUILD_TOP=top).returncode == 0
    assert not (terminal.directory / "app.oci/.gitignore").exists()
    terminal.run(*BUILD, NIX_BUILD_TOP=top, IN_NIX_SHELL="impure")
    assert (terminal.directory / "app.oci/.gitignore").exists()


# --- which settings ------------------------------------------------------------------------------


def test_a_build_says_whose_settings_it_reads_and_asks_nix_no_more_for_it(
    terminal: Terminal,
) -> None:
    (terminal.directory / "nix2oci.yaml").write_text("tag: here")
    (terminal.directory / "sub/flake.nix").write_text("{ }")
    (terminal.directory / "sub/nix2oci.yaml").write_text("tag: sub")
    asked = []
    for subject in ("./sub", ".?dir=sub", "path:./sub", "sub-of-the-registry"):
        terminal.fake.log.unlink(missing_ok=True)
        done = terminal.run(*BUILD, subject, "-o", "../x")
        asked.append(len(terminal.fake.calls))
        assert done.returncode == 0
        is_named = subject != "sub-of-the-registry"
        assert ("nix2oci: settings of sub/nix2oci.yaml\n" in done.stderr) is is_named
        assert done.stdout == f"oci:../x:{'sub' if is_named else 'latest'}\n"
    assert asked == [3, 3, 3, 4]


@pytest.mark.parametrize(
    ("args", "what"),
    [
        pytest.param(("github:a/b",), "github:a/b", id="a flake that is not on this machine"),
        pytest.param(("-f", "<x>", "app"), "<x>", id="a file in the search path"),
    ],
)
def test_where_no_file_can_be_looked_for_that_is_said(
    args: tuple[str, ...], what: str, terminal: Terminal
) -> None:
    done = terminal.run(*BUILD, *args, "-o", "../x")
    line = f"nix2oci: no nix2oci.yaml is looked for beside {what}: --config FILE names one"
    assert line in done.stderr.splitlines()
    (terminal.directory / "c.yaml").write_text("tag: mine")
    done = terminal.run(*BUILD, *args, "-o", "../x", "--config", "c.yaml")
    assert "looked for" not in done.stderr
    assert done.stdout == "oci:../x:mine\n"


@pytest.mark.parametrize(
    "options",
    [pytest.param((), id="here"), pytest.param(("--platform", "linux/amd64"), id="there")],
)
def test_settings_of_a_commit_by_its_url_are_known_when_it_is_evaluated(
    options: tuple[str, ...], terminal: Terminal
) -> None:
    source = Path(f"{terminal.fake.root}{SOURCE}")
    source.mkdir()
    (source / "flake.nix").write_text("{ }")
    (source / "nix2oci.yaml").write_text("tag: mine")
    url = f"github:o/r/{'0' * 40}#app"
    for processes in (["eval", "build", "path-info"], ["build"]):
        terminal.fake.log.unlink(missing_ok=True)
        done = terminal.run("build", url, *options, "-o", "../x")
        assert (done.returncode, done.stdout) == (0, "oci:../x:mine\n")
        assert [call[0] for call in terminal.fake.calls] == processes


def test_what_is_wrong_with_a_commit_by_its_url_is_said_once(terminal: Terminal) -> None:
    terminal.fake.answer('#""', stderr="error: undefined variable 'x'\n", code=1)
    terminal.fake.nix()
    done = terminal.run(*BUILD, f"github:o/r/{'0' * 40}#app", "-o", "../x")
    assert done.returncode == 3
    assert done.stderr.count("undefined variable") == 1


# --- what names mean -----------------------------------------------------------------------------


def locked_to(terminal: Terminal, **inputs: str) -> None:
    """Let the flake have inputs, each a path; any other flake is at `URL`."""
    nodes = {name: {"locked": {"type": "path", "path": at}} for name, at in inputs.items()}
    locks = {"nodes": {"": {"inputs": {name: name for name in inputs}}, **nodes}, "root": ""}
    rules, terminal.fake.rules = terminal.fake.rules, []
    terminal.fake.answer("flake metadata", json.dumps({"url": URL, "locks": locks}))
    terminal.fake.rules += rules
    terminal.fake.nix()


@pytest.mark.parametrize("by_flag", [True, False], ids=["--contents", "nix2oci.yaml"])
def test_a_name_is_an_input_as_it_is_locked(terminal: Terminal, *, by_flag: bool) -> None:
    locked_to(terminal, tools="/srv/locked")
    if not by_flag:
        (terminal.directory / "nix2oci.yaml").write_text('contents: ["tools#x"]')
    flags = ("--contents", "tools#x") if by_flag else ()
    done = terminal.run(*BUILD, "-o", "../x", "--json", *flags)
    assert json.loads(done.stdout)["unpinned"] == []
    assert "warning" not in done.stderr
    assert 'path:/srv/locked#""' in [call[-1] for call in terminal.fake.calls]


def test_a_name_of_the_registry_alone_is_a_warning_that_says_what_it_was(
    terminal: Terminal,
) -> None:
    locked_to(terminal, tools="/srv/locked")
    args = ("--json", "--contents", "other#x")
    done = terminal.run(*BUILD, "-o", "../x", *args)
    assert json.loads(done.stdout)["unpinned"] == [{"installable": "other#x", "url": URL}]
    planned = terminal.run("plan", *args)
    assert json.loads(planned.stdout)["unpinned"] == [{"installable": "other#x", "url": URL}]
    assert (
        "nix2oci: warning: other#x is not pinned: only the flake registry of this machine knows "
        f"'other', today as {URL}\n"
    ) in done.stderr


def test_names_may_be_those_of_another_flake(terminal: Terminal) -> None:
    locked_to(terminal, tools="/srv/locked")
    (terminal.directory / "app.nix").write_text("")
    args = ("-f", "app.nix", "app", "--contents", "tools#x", "-o", "../x", "--json")
    done = terminal.run(*BUILD, *args, "--inputs-from", ".")
    assert json.loads(done.stdout)["unpinned"] == []
    assert 'path:/srv/locked#""' in [call[-1] for call in terminal.fake.calls]
    done = terminal.run(*BUILD, *args)
    assert json.loads(done.stdout)["unpinned"] == [{"installable": "tools#x", "url": URL}]
