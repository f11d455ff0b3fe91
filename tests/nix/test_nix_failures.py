"""What becomes of a nix that is not there, dies, or says what it should not."""

import json
import signal
import tempfile
from pathlib import Path

import pytest
from support.fakenix import OUT, SYSTEM, FakeNix, fails, make, missing, value

from nix2oci.errors import (
    NixCommandError,
    NixError,
    NixNotFoundError,
    NixOutputError,
)
from nix2oci.nix.client import NixClient
from nix2oci.nix.package import NAMES


@pytest.fixture
def fake(tmp_path: Path) -> FakeNix:
    return FakeNix(tmp_path)


def test_no_nix(tmp_path: Path) -> None:
    error = fails(NixClient({"PATH": str(tmp_path), "HOME": str(tmp_path)}), NixNotFoundError, 3)
    assert str(error) == "cannot run nix: there is no 'nix' on PATH"
    assert str(error.hint).startswith("install Nix 2.4 or newer: https://nixos.org/download, or ")


@pytest.mark.parametrize(
    ("content", "mode", "cause"),
    [
        pytest.param("#!/bin/sh\n", 0o644, "permission denied", id="not executable"),
        pytest.param("\0", 0o755, "exec format error", id="no program"),
    ],
)
def test_a_nix_that_cannot_be_run(tmp_path: Path, content: str, mode: int, cause: str) -> None:
    (tmp_path / "nix").write_text(content)
    (tmp_path / "nix").chmod(mode)
    error = fails(NixClient({"PATH": str(tmp_path), "HOME": str(tmp_path)}), NixNotFoundError, 3)
    assert str(error) == f"cannot run nix: {cause}"


ELSEWHERE = "github:o/r#app"
COMMANDS = {
    "flake metadata": "flake metadata",
    '#""': "eval",
    "build --json": "build",
    "path-info": "path-info",
}


@pytest.mark.parametrize(("rule", "command"), COMMANDS.items(), ids=COMMANDS)
@pytest.mark.parametrize("stdout", ["", "<html>" + "x" * 300], ids=["nothing", "a web page"])
def test_an_answer_that_is_none(fake: FakeNix, rule: str, command: str, stdout: str) -> None:
    fake.answer(rule, stdout)
    error = fails(fake.nix(), NixOutputError, 3, ELSEWHERE)
    said = repr(stdout[:200]) if stdout else "nothing"
    assert str(error) == f"cannot read `nix {command}` output: it printed {said}"


@pytest.mark.parametrize(
    ("rule", "stdout", "command"),
    [
        pytest.param("flake metadata", "[]", "flake metadata", id="metadata"),
        pytest.param(f"-- {ELSEWHERE}", "[]", "eval", id="evaluation"),
        pytest.param("build --json", "[]", "build", id="build"),
        pytest.param("path-info", "[]", "path-info", id="path-info"),
    ],
)
def test_an_empty_list_is_no_answer(fake: FakeNix, rule: str, stdout: str, command: str) -> None:
    fake.answer(rule, stdout)
    error = fails(fake.nix(), NixOutputError, 3, ELSEWHERE)
    assert str(error) == f"cannot read `nix {command}` output: it printed '[]'"


@pytest.mark.parametrize(
    ("rule", "action"),
    [
        pytest.param("flake metadata", f"cannot evaluate '{ELSEWHERE}'", id="metadata"),
        pytest.param('#""', f"cannot evaluate '{ELSEWHERE}'", id="evaluation"),
        pytest.param("build --json", f"cannot build '{ELSEWHERE}'", id="build"),
        pytest.param("path-info", f"cannot read the closure of {OUT}", id="path-info"),
    ],
)
@pytest.mark.parametrize("name", ["KILL", "SEGV"])
def test_nix_is_killed(fake: FakeNix, rule: str, action: str, name: str) -> None:
    fake.answer(rule, run=f"ulimit -c 0; kill -{name} $$")
    error = fails(fake.nix(), NixCommandError, 3, ELSEWHERE)
    assert str(error) == f"{action}: nix was killed by SIG{name}"
    assert error.hint == ("the machine may have run out of memory" if name == "KILL" else None)
    assert isinstance(error, NixCommandError)
    assert error.returncode == -getattr(signal, f"SIG{name}")


def test_the_daemon_is_down(fake: FakeNix) -> None:
    said = "cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused"
    fake.answer("build --json", stderr=f"error: {said}\n", code=1)
    error = fails(fake.nix(), NixCommandError, 3)
    assert str(error) == f"cannot build '.#app': {said}"
    assert error.hint == (
        "start the Nix daemon ('systemctl start nix-daemon'), or check NIX_REMOTE and --store"
    )


def test_a_home_that_cannot_be_written(fake: FakeNix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(fake.directory))
    fake.answer("eval", value(), run=f'echo "$XDG_CACHE_HOME$NIX_CACHE_HOME" > {fake.directory}/c')
    nix = fake.nix("--system", SYSTEM, HOME="/proc/nope", NIX_CACHE_HOME="/proc/nope")
    nix.evaluate(nix.installable(".#app"))
    cache = (fake.directory / "c").read_text().strip()
    assert cache.startswith(f"{fake.directory}/.nix2oci-")
    assert Path(cache).is_dir()
    del nix
    assert not Path(cache).exists()


def test_the_message_of_an_evaluation_is_shown_once(fake: FakeNix) -> None:
    trace = "error:\n       … while calling the 'throw' builtin\n         at /f/flake.nix:1:2:\n"
    fake.answer("-- .#app", stderr=f"warning: dirty\n{trace}\n       error: no thanks\n", code=1)
    error = fails(fake.nix(), NixCommandError, 3)
    assert str(error) == "cannot evaluate '.#app': no thanks"
    assert error.hint is None
    assert fake.shown == [
        "warning: dirty",
        "       … while calling the 'throw' builtin",
        "         at /f/flake.nix:1:2:",
    ]
    assert isinstance(error, NixCommandError)
    assert "no thanks" in error.stderr
    assert error.argv[0] == "nix"


def test_a_warning_of_each_call_is_shown_once(fake: FakeNix) -> None:
    dirty = "warning: Git tree '/f' is dirty\n"
    fake.answer("flake metadata", "{}", stderr=dirty)
    fake.answer("eval --json", value(), stderr=dirty)
    make(fake.nix())
    assert fake.shown == [dirty.strip()]


def test_no_message_at_all(fake: FakeNix) -> None:
    fake.answer("-- .#app", code=7)
    error = fails(fake.nix(), NixCommandError, 3)
    assert str(error) == "cannot evaluate '.#app': nix ended with exit code 7"


def test_an_attribute_that_is_not_there(fake: FakeNix) -> None:
    fake.answer("-- .#nope", stderr=missing("nope"), code=1)
    fake.answer("-- .#packages", json.dumps({SYSTEM: ["app", "tool"], "other": ["x"]}))
    fake.answer("-- .#apps", json.dumps({SYSTEM: ["run"]}))
    fake.rules.insert(0, f"*'#apps.'*) printf %s \"{missing('apps')}\" >&2; exit 1;;")
    error = fails(fake.nix(), NixError, 3, ".#nope")
    assert str(error) == (
        f"cannot evaluate '.#nope': the flake has no package or app 'nope' for {SYSTEM}"
    )
    assert error.hint == "it has the packages 'app', 'tool' and the apps 'run'"
    assert [call[-1] for call in fake.calls[-2:]] == [".#packages", ".#apps"]
    assert NAMES in fake.calls[-1]
    assert fake.shown == []


def test_a_flake_without_packages(fake: FakeNix) -> None:
    fake.answer("--apply", stderr=missing("default"), code=1)
    error = fails(fake.nix(), NixError, 3, ".")
    assert str(error) == (
        f"cannot evaluate '.': the flake has no package or app 'default' for {SYSTEM}"
    )
    assert error.hint == f"it has no packages for {SYSTEM}"


def test_an_app_that_does_not_evaluate(fake: FakeNix) -> None:
    fake.answer("#apps.", stderr="error: no thanks\n", code=1)
    error = fails(fake.nix(), NixCommandError, 3)
    assert str(error) == "cannot evaluate '.#app': no thanks"


def test_failures_of_the_past_are_not_repeated(fake: FakeNix) -> None:
    make(fake.nix())
    for call in fake.calls:
        assert ("--apply" in call) == ("eval-cache" in call)


def test_credentials_are_in_no_message(fake: FakeNix) -> None:
    ref = "https://user:canary@example.org/f.tar.gz"
    fake.answer("flake metadata", stderr=f"fetching {ref}\nerror: no {ref}\n", code=1)
    nix = fake.nix("--option", "access-tokens", "github.com=canary")
    with pytest.raises(NixCommandError) as caught:
        nix.evaluate(nix.installable(f"{ref}#app"))
    assert str(caught.value) == (
        "cannot evaluate 'https://example.org/f.tar.gz#app': no https://example.org/f.tar.gz"
    )
    assert "canary" not in f"{caught.value.argv} {caught.value.stderr} {fake.shown}"
