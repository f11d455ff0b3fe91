"""What --json prints is what docs/json.md says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.fakenix import OUT
from support.json_page import documented
from support.paths import ROOT
from support.terminal import INFO, NIX2OCI, Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def test_json_has_the_keys_that_are_documented(terminal: Terminal) -> None:
    documents: dict[str, Any] = {}
    for command, subject in (("build", ".#app"), ("plan", ".#app"), ("inspect", "app.oci")):
        done = terminal.run(command, "--json", subject)
        assert done.returncode == 0, done.stderr
        documents[command] = json.loads(done.stdout)
    for command, document in documents.items():
        assert set(document) == documented(command, 0), command
        layers = [set(layer) for layer in document["layers"]]
        assert layers[0] == documented(command, 1), command
    view = documents["build"]["layers"][-1]
    assert documented("build", 1) - set(view) == {
        *("nar_size", "popularity", "risk", "shared_by"),
    }
    assert documents["build"]["digest"] == documents["inspect"]["digest"]
    assert (
        documents["build"]["layers"][0]["paths"] == documents["plan"]["layers"][0]["paths"] == [OUT]
    )


def test_json_of_validate_has_the_keys_that_are_documented(terminal: Terminal) -> None:
    terminal.run("build", ".#app", "-o", "x")
    (terminal.directory / "x/oci-layout").write_text("{}")
    done = terminal.run("validate", "--json", "x")
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert set(document) == documented("validate", 0)
    assert document["valid"] is False
    assert set(document["findings"][0]) == documented("validate", 1)


def test_json_of_an_archive_on_stdout_is_on_stderr(terminal: Terminal) -> None:
    argv = terminal.argv("build", ".#app", "-q", "--json", "-o", "-")
    done = subprocess.run(
        argv, cwd=terminal.directory, env=terminal.env(), capture_output=True, check=True
    )
    assert json.loads(done.stderr)["reference"] is None
    assert b"oci-layout" in done.stdout


def test_a_recorded_closure_is_planned_without_nix(terminal: Terminal) -> None:
    (terminal.directory / "closure.json").write_text(json.dumps(INFO))
    shutil.rmtree(terminal.fake.bin)
    done = terminal.run("plan", "--closure", "closure.json", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["roots"] == [OUT]


def test_the_program_of_the_page_prints_what_it_made(terminal: Terminal) -> None:
    page = (ROOT / "docs/json.md").read_text()
    program = page.partition("```python\n")[2].partition("```")[0]
    shim = terminal.fake.bin / "nix2oci"
    shim.write_text(f'#!/bin/sh\nexec {NIX2OCI} "$@" --store {terminal.fake.root}\n')
    shim.chmod(0o755)
    argv, env = (sys.executable, "-c", program), terminal.env()
    printed = subprocess.check_output(argv, cwd=terminal.directory, env=env, text=True)
    document = json.loads(terminal.run("build", ".#app", "--json").stdout)
    assert printed.split() == [str(document[key]) for key in ("reference", "digest", "size")]
