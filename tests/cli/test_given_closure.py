"""`build --closure`: a file stands in for Nix, which is never started."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.fakenix import OUT, value
from support.fakestore import nar, sri, store_path
from support.terminal import APP, Completed, Terminal

LIBRARY = str(store_path("library-1.2"))
LIBRARY_FILE = b"a library\n"
SIZES = {OUT: len(nar(APP)), LIBRARY: len(nar(LIBRARY_FILE))}
HASHES = {OUT: sri(APP), LIBRARY: sri(LIBRARY_FILE)}
REFERENCES = {OUT: [LIBRARY, OUT], LIBRARY: list[str]()}
FACTS = {
    "pname": "app",
    "version": "1.0",
    "system": "x86_64-linux",
    "mainProgram": "app",
    "description": "An  app",
    "homepages": ["https://example.com/app"],
    "licenses": ["MIT"],
}


def infos(**changes: Any) -> dict[str, dict[str, Any]]:
    """What path-info prints of both; `changes` are to the entry of the app."""
    found = {
        path: {"narHash": HASHES[path], "narSize": SIZES[path], "references": REFERENCES[path]}
        for path in (LIBRARY, OUT)
    }
    found[OUT] |= changes
    return found


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    made = Terminal.make(tmp_path)
    made.fake.place(LIBRARY).write_bytes(LIBRARY_FILE)
    made.fake.answer("path-info", json.dumps(infos()))
    made.fake.rules.insert(0, made.fake.rules.pop())
    made.fake.answer(f"root -- {OUT}", json.dumps([OUT]))
    made.fake.nix()
    return made


def given(terminal: Terminal, text: str, *args: str, **env: str) -> Completed:
    """A build by a file with this text."""
    (terminal.directory / "closure").write_text(text)
    store = ("--store", str(terminal.fake.root))
    return terminal.run("build", "--closure", "closure", *(args or (OUT,)), *store, **env)


def digest(done: Completed) -> str:
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["digest"])


def registration(*, bare_hash: bool) -> str:
    """As `nix-store --dump-db`, or nixpkgs' closureInfo, writes it."""
    lines = []
    for path in (LIBRARY, OUT):
        raw = base64.b64decode(HASHES[path].partition("-")[2]).hex()
        known = raw if bare_hash else HASHES[path]
        count = str(len(REFERENCES[path]))
        lines += [path, known, str(SIZES[path]), "", count, *REFERENCES[path]]
    return "".join(f"{line}\n" for line in lines)


def attributes(graphs: Mapping[str, list[str]]) -> str:
    """The file that Nix writes for a builder with structured attributes."""
    known = {
        name: [{"path": path, **infos()[path], "closureSize": 1} for path in paths]
        for name, paths in graphs.items()
    }
    return json.dumps({"builder": "/bin/sh", "exportReferencesGraph": graphs, **known})


FORMS = {
    "path-info as a map": json.dumps(infos()),
    "path-info as a list": json.dumps([{"path": path, **each} for path, each in infos().items()]),
    "a registration of closureInfo": registration(bare_hash=False),
    "a registration of nix-store": registration(bare_hash=True),
    "a graph among the attributes of a builder": attributes({"closure": [LIBRARY, OUT]}),
    "two graphs that overlap": attributes({"app": [LIBRARY, OUT], "more": [LIBRARY]}),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_image_is_that_of_the_command_and_nix_is_not_started(
    terminal: Terminal, form: str
) -> None:
    by_nix = digest(terminal.run("build", OUT, "--json", "-o", "by-nix"))
    before = terminal.fake.calls
    assert digest(given(terminal, FORMS[form], OUT, "--json", "-o", "given")) == by_nix
    assert terminal.fake.calls == before


def test_there_need_be_no_nix(terminal: Terminal) -> None:
    done = given(terminal, FORMS["path-info as a map"], PATH="/nowhere")
    assert (done.returncode, done.stdout) == (0, "oci:app.oci:latest\n")


def test_what_evaluation_knew_comes_by_a_file_of_its_own(terminal: Terminal) -> None:
    terminal.fake.answer("flakes eval --json", value(**FACTS))
    terminal.fake.nix()
    by_nix = digest(terminal.run("build", ".#app", "--json", "-o", "by-nix"))
    (terminal.directory / "facts").write_text(json.dumps(FACTS))
    args = (OUT, "--package", "facts", "--json", "-o", "given")
    assert digest(given(terminal, FORMS["path-info as a map"], *args)) == by_nix


def test_the_revision_and_the_program_of_an_app_may_be_in_it(terminal: Terminal) -> None:
    facts = {**FACTS, "revision": "abc123", "lastModified": 86400, "program": f"{OUT}/bin/app"}
    (terminal.directory / "facts").write_text(json.dumps(facts))
    done = given(terminal, FORMS["path-info as a map"], OUT, "--package", "facts", "-o", "x")
    assert done.returncode == 0, done.stderr
    shown = json.loads(terminal.run("inspect", "x", "--json").stdout)
    assert shown["annotations"]["org.opencontainers.image.revision"] == "abc123"
    assert shown["config"]["created"] == "1970-01-02T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "args", "code", "error"),
    [
        pytest.param(
            json.dumps({OUT: infos()[OUT]}),
            (OUT,),
            4,
            f"cannot use closure: {OUT} refers to {LIBRARY}, which is not in it",
            id="a closure that is not closed",
        ),
        pytest.param(
            json.dumps({LIBRARY: infos()[LIBRARY]}),
            (OUT,),
            4,
            f"cannot use closure: it lacks its root {OUT}",
            id="a root outside of it",
        ),
        pytest.param(
            json.dumps(infos(narHash=HASHES[LIBRARY])),
            (OUT,),
            4,
            f"cannot use {OUT}: its contents do not match the hash",
            id="another NAR hash",
        ),
        pytest.param("{}", (OUT,), 3, "cannot read `nix path-info` output", id="nothing in it"),
        pytest.param("[1]", (OUT,), 3, "cannot read `nix path-info` output", id="another shape"),
        pytest.param("no", (OUT,), 3, "cannot read `nix path-info` output", id="no JSON"),
        pytest.param(
            json.dumps({"exportReferencesGraph": {"closure": []}, "closure": 1}),
            (OUT,),
            3,
            "cannot read `nix path-info` output",
            id="a graph that is none",
        ),
        pytest.param(
            registration(bare_hash=True).rsplit("\n", 2)[0],
            (OUT,),
            3,
            f"cannot read registration: it is not whole at '{OUT}'",
            id="a registration that ends early",
        ),
        pytest.param(
            json.dumps(infos()),
            (".#app",),
            2,
            "cannot use '.#app' with --closure: it is no store path of the file",
            id="an attribute of a flake",
        ),
        pytest.param(
            json.dumps(infos()),
            (OUT, "--contents", "nixpkgs#cacert"),
            3,
            "cannot ask `nix flake`: with --closure no nix is started",
            id="contents that only Nix knows",
        ),
        pytest.param(
            json.dumps(infos()),
            (OUT, "--from", "s3://cache"),
            2,
            "cannot use --from s3://cache without Nix: it is no binary cache",
            id="a store that only Nix reads",
        ),
        pytest.param(
            json.dumps(infos()),
            (OUT, "--platform", "linux/arm64"),
            2,
            "cannot use --closure with --platform",
            id="another platform",
        ),
        pytest.param(
            json.dumps(infos()), ("--all",), 2, "cannot use --closure with several", id="--all"
        ),
        pytest.param(
            json.dumps(infos()),
            (OUT, "--package", "not-there"),
            8,
            "cannot read not-there: No such file or directory",
            id="facts that are not there",
        ),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    terminal: Terminal, text: str, args: tuple[str, ...], code: int, error: str
) -> None:
    done = given(terminal, text, *args, "-o", "x")
    assert (done.returncode, done.stdout) == (code, "")
    assert f"error: {error}" in done.stderr
    assert terminal.left() == ["closure"]
    assert terminal.fake.calls == []


def test_a_store_path_that_is_not_there(terminal: Terminal) -> None:
    terminal.fake.place(LIBRARY).unlink()
    done = given(terminal, json.dumps(infos()))
    assert done.returncode == 4
    assert f"{LIBRARY}: it is not in the store" in done.stderr


def test_facts_without_a_closure_are_refused(terminal: Terminal) -> None:
    done = terminal.run("build", OUT, "--package", "x")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "error: cannot use --package without --closure",
    )
