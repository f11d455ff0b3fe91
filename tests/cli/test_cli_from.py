"""`--from` from outside: the image, what is said, and what is left when it fails."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
from support.fakenix import DRV, OUT
from support.fakestore import Node, Program, nar
from support.terminal import APP, Terminal

URL = "https://user:secret@cache.test"
NAME = "https://cache.test"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """One whose fake Nix has nothing in its store, and sends what is asked for."""
    made = Terminal.make(tmp_path)
    shutil.rmtree(f"{made.fake.root}{OUT}")
    sends(made, nar(APP))
    return made


def sends(terminal: Terminal, data: bytes, verdict: int = 0) -> None:
    """Let the Nix send this NAR, and end its check of signatures so."""
    del terminal.fake.rules[1:]  # the first is that of path-info
    file = terminal.fake.directory / "nar"
    file.write_bytes(data)
    terminal.fake.answer("dump-path", run=f"cat {shlex.quote(str(file))}")
    terminal.fake.answer("store verify", stderr=f"path '{OUT}' is untrusted\n", code=verdict)
    terminal.fake.answer("config show", json.dumps({"require-sigs": {"value": True}}))
    terminal.fake.nix()


def test_nothing_is_built_and_the_image_is_the_same(terminal: Terminal, tmp_path: Path) -> None:
    there = terminal.run("build", ".#app", "--from", URL, "--json")
    assert there.returncode == 0, there.stderr
    builds = [call for call in terminal.fake.calls if call[0] == "build"]
    assert [call[1:3] for call in builds] == [["--json", "--dry-run"]]
    (tmp_path / "other").mkdir()
    here = Terminal.make(tmp_path / "other").run("build", ".#app", "--json")
    assert json.loads(there.stdout) == json.loads(here.stdout)


def test_what_it_does_is_said_without_the_password(terminal: Terminal) -> None:
    done = terminal.run("build", OUT, "--from", URL, "--no-check-sigs")
    assert done.stdout == "oci:app.oci:latest\n"
    assert done.stderr.splitlines()[:4] == [
        f"nix2oci: no nix2oci.yaml is looked for beside {OUT}: --config FILE names one",
        f"nix2oci: evaluating {OUT}",
        f"nix2oci: asking {NAME} for the closure",
        f"nix2oci: looking through the store paths ({len(nar(APP))} B)",
    ]
    assert "secret" not in done.stderr


def test_plan_takes_it_as_well(terminal: Terminal) -> None:
    done = terminal.run("plan", ".#app", "--from", URL, "--json")
    assert [layer["paths"] for layer in json.loads(done.stdout)["layers"]] == [[OUT]]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        pytest.param(
            nar(APP)[:-8], f"cannot read {OUT} from {NAME}: its NAR ends early", id="cut off"
        ),
        pytest.param(
            nar(APP).replace(b"a program", b"a pirate!"),
            f"cannot use {OUT}: what {NAME} sends does not match the hash in its record: ",
            id="changed",
        ),
        pytest.param(
            b"<html>",
            f"cannot read {OUT} from {NAME}: its NAR ends early",
            id="something else",
        ),
    ],
)
def test_a_nar_that_is_wrong_leaves_nothing(terminal: Terminal, data: bytes, error: str) -> None:
    sends(terminal, data)
    done = terminal.run("build", OUT, "--from", URL)
    assert (done.returncode, done.stdout, terminal.left()) == (4, "", [])
    assert f"\nerror: {error}" in done.stderr
    assert "secret" not in done.stderr


def test_a_path_that_nobody_signed_is_not_asked_for(terminal: Terminal) -> None:
    sends(terminal, nar(APP), verdict=2)
    done = terminal.run("build", OUT, "--from", URL)
    assert (done.returncode, done.stdout, terminal.left()) == (4, "", [])
    assert done.stderr.splitlines()[-2:] == [
        f"error: cannot use {NAME}: no key that Nix trusts has signed {OUT}",
        "hint: add the key of that store to trusted-public-keys, or use --no-check-sigs",
    ]
    assert not any("dump-path" in call for call in terminal.fake.calls)


def test_no_check_sigs_is_about_from(terminal: Terminal) -> None:
    done = terminal.run("build", "--no-check-sigs")
    assert (done.returncode, done.stderr) == (
        2,
        "error: cannot use --no-check-sigs without --from\n",
    )


def test_files_that_are_copied_out_of_a_store_path_are_fetched(tmp_path: Path) -> None:
    big = b"x" * (3 << 20)
    node: Node = {b"bin": {b"app": Program(b"\x7fELF")}, b"share": {b"big": big}}
    terminal = Terminal.make(tmp_path, node)
    shutil.rmtree(f"{terminal.fake.root}{OUT}")
    sends(terminal, nar(node))
    made = [{"drvPath": DRV, "outputs": {"out": OUT}}, OUT]
    terminal.fake.answer("build --json", json.dumps(made))
    terminal.fake.nix()
    (terminal.directory / "flake.nix").write_text("{}")
    copied = f"{{source: {OUT}, path: share/big, copy: true}}"
    (terminal.directory / "nix2oci.yaml").write_text(f"files: {{/opt/big: {copied}}}")
    done = terminal.run("build", ".#app", "--from", URL, "-o", "../x")
    assert done.returncode == 0, done.stderr
    assert terminal.run("cat", "../x", "/opt/big").stdout.encode() == big
