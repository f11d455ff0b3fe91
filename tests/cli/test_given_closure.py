"""`build --closure`: a file stands in for Nix, which is never started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.fakenix import OUT, value
from support.fakestore import sri, store_path
from support.given import (
    FACTS,
    FORMS,
    HASHES,
    LIBRARY,
    LIBRARY_FILE,
    SIZES,
    given_terminal,
    infos,
    registration,
)
from support.terminal import Completed, Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return given_terminal(tmp_path)


def given(terminal: Terminal, text: str, *args: str, **env: str) -> Completed:
    """A build by a file with this text."""
    (terminal.directory / "closure").write_text(text)
    store = ("--store", str(terminal.fake.root))
    return terminal.run("build", "--closure", "closure", *(args or (OUT,)), *store, **env)


def digest(done: Completed) -> str:
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["digest"])


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


def test_facts_may_be_of_several_store_paths(terminal: Terminal) -> None:
    (terminal.directory / "one").write_text(json.dumps(FACTS))
    by_path = {OUT: {**FACTS, "paths": [OUT]}, LIBRARY: {"priority": 3, "paths": [LIBRARY]}}
    (terminal.directory / "each").write_text(json.dumps(by_path))
    form = FORMS["path-info as a map"]
    digests = [
        digest(given(terminal, form, OUT, "--package", name, "--json", "-o", f"{name}.oci"))
        for name in ("one", "each")
    ]
    assert digests[0] == digests[1]


def test_a_version_that_is_said_to_be_none_is_not_taken_from_the_name(terminal: Terminal) -> None:
    (terminal.directory / "facts").write_text('{"version": ""}')
    form = FORMS["path-info as a map"]
    assert given(terminal, form, OUT, "--package", "facts", "-o", "x").returncode == 0
    shown = json.loads(terminal.run("inspect", "x", "--json").stdout)
    assert "org.opencontainers.image.version" not in shown["annotations"]


EXTRA = str(store_path("extra-3"))
UNKNOWN = str(store_path("unknown-4"))


def paths_of(terminal: Terminal, *args: str) -> list[str]:
    """The store paths of an image of a file that has one more than the app and its library."""
    terminal.fake.place(EXTRA).write_bytes(LIBRARY_FILE)
    extra = {"narHash": sri(LIBRARY_FILE), "narSize": SIZES[LIBRARY], "references": []}
    done = given(terminal, json.dumps({**infos(), EXTRA: extra}), OUT, *args, "-o", "x")
    assert done.returncode == 0, done.stderr
    shown = json.loads(terminal.run("inspect", "x", "--json").stdout)
    return sorted(path for layer in shown["layers"] for path in layer["paths"])


@pytest.mark.parametrize(
    "args",
    [
        pytest.param(("--env", f"EXTRA={EXTRA}/x:{UNKNOWN}"), id="a variable"),
        pytest.param(("--cmd", f"--with={EXTRA}"), id="an argument"),
        pytest.param(("--config", "settings"), id="a file with text"),
    ],
)
def test_a_store_path_of_the_file_that_a_value_names_is_in_the_image(
    terminal: Terminal, args: tuple[str, ...]
) -> None:
    settings = {"files": {"/etc/app.conf": {"text": f"extra {EXTRA}\n"}}}
    (terminal.directory / "settings").write_text(json.dumps(settings))
    assert paths_of(terminal) == sorted([OUT, LIBRARY])
    (terminal.directory / "x").rename(terminal.directory / "before")
    assert paths_of(terminal, *args) == sorted([OUT, LIBRARY, EXTRA])


def test_a_store_path_that_is_there_anyway_changes_no_layer(terminal: Terminal) -> None:
    def layers(name: str, *args: str) -> list[str]:
        made = given(terminal, json.dumps(infos()), OUT, *args, "--json", "-o", name)
        return [layer["digest"] for layer in json.loads(made.stdout)["layers"]]

    assert layers("a", "--env", f"X={LIBRARY}") == layers("b")


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
            json.dumps(infos()),
            (OUT, "--package", "list"),
            3,
            "cannot read `nix eval` output",
            id="facts of another shape",
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
    (terminal.directory / "list").write_text(json.dumps({OUT: []}))
    done = given(terminal, text, *args, "-o", "x")
    assert (done.returncode, done.stdout) == (code, "")
    assert f"error: {error}" in done.stderr
    assert terminal.left() == ["closure", "list"]
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


def test_a_bill_of_materials_has_what_the_files_say(terminal: Terminal) -> None:
    (terminal.directory / "facts").write_text(json.dumps(FACTS))
    flags = ("--package", "facts", "-o", "x", "--sbom-dir", "boms")
    done = given(terminal, FORMS["path-info as a map"], OUT, *flags)
    assert done.returncode == 0, done.stderr
    document = json.loads((terminal.directory / "boms/app.cdx.json").read_text())
    (app,) = [each for each in document["components"] if each["bom-ref"] == OUT]
    assert (app["name"], app["version"]) == ("app", "1.0")
    assert (app["description"], app["licenses"]) == ("An app", [{"expression": "MIT"}])
