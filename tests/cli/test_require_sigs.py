"""`--require-sigs`: no store path for which nobody vouches."""

from pathlib import Path

import pytest
from support.fakenix import OUT
from support.terminal import Terminal

UNSIGNED = f"path '{OUT}' is untrusted\n"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def verified(terminal: Terminal, code: int, said: str = "") -> None:
    """Nix judges so."""
    terminal.fake.answer("store verify", stderr=said, code=code)
    terminal.fake.nix()


def test_nix_judges_the_whole_closure_and_reads_no_contents(terminal: Terminal) -> None:
    verified(terminal, 0)
    assert terminal.run("build", ".#app", "--require-sigs").returncode == 0
    (call,) = (each for each in terminal.fake.calls if each[:2] == ["store", "verify"])
    assert {"--no-contents", "--recursive", OUT} < {*call}
    assert "--sigs-needed" not in call  # what was built here has no signature


def test_a_path_that_nobody_vouches_for_ends_the_build(terminal: Terminal) -> None:
    verified(terminal, 2, UNSIGNED)
    done = terminal.run("build", ".#app", "--require-sigs")
    assert (done.returncode, done.stdout, terminal.left()) == (4, "", [])
    assert f"cannot use {OUT}: not built in this store, and signed by no key" in done.stderr


def test_nix_that_cannot_judge_is_an_error(terminal: Terminal) -> None:
    verified(terminal, 1, "error: database is locked\n")
    done = terminal.run("build", ".#app", "--require-sigs")
    assert (done.returncode, terminal.left()) == (3, [])
    assert "cannot check the signatures of the closure: database is locked" in done.stderr


def test_without_it_nix_is_not_asked(terminal: Terminal) -> None:
    verified(terminal, 2, UNSIGNED)
    assert terminal.run("build", ".#app").returncode == 0
    assert not [each for each in terminal.fake.calls if each[:2] == ["store", "verify"]]


@pytest.mark.parametrize("url", ["file:///cache", "file:///cache?trusted=1"])
def test_of_another_store_too_whatever_settings_say(url: str, terminal: Terminal) -> None:
    (cache := terminal.directory / "cache").mkdir()
    (cache / "nix-cache-info").write_text("StoreDir: /nix/store\n")
    verified(terminal, 2, UNSIGNED)
    there = url.replace("/cache", str(cache))
    done = terminal.run("build", OUT, "--from", there, "--require-sigs")
    assert done.returncode == 4, done.stderr
    assert f"no key that Nix trusts has signed {OUT}" in done.stderr
    assert not [each for each in terminal.fake.calls if "config" in each]


@pytest.mark.parametrize(
    "options",
    [("--from=file:///cache", "--no-check-sigs"), ("--closure=x.json",)],
    ids=["signatures that do not count", "no Nix"],
)
def test_it_does_not_go_with(options: tuple[str, ...], terminal: Terminal) -> None:
    done = terminal.run("build", OUT, "--require-sigs", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--require-sigs" in done.stderr
