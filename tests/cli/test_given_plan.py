"""`plan --closure`, `why FILE` and `diff FILE FILE`: what a file says of store paths is enough."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.elf_heads import AARCH64
from support.fakenix import OUT, value
from support.fakestore import nar, sri, store_path, write
from support.given import FACTS, FORMS, HASHES, LIBRARY, given_terminal, infos, registration
from support.terminal import Completed, Terminal

APART = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-apart-3.0"
NO_NIX = {"PATH": "/nowhere"}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return given_terminal(tmp_path)


def planned(terminal: Terminal, text: str, *args: str, here: bool = True) -> Completed:
    """A plan by a file with this text; `here` is whether the store is on this machine."""
    (terminal.directory / "closure").write_text(text)
    root = terminal.fake.root if here else terminal.directory / "nowhere"
    return terminal.run("plan", "--closure", "closure", *args, "--store", str(root), **NO_NIX)


def document(done: Completed) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def with_another() -> str:
    """The closure, and a path that has nothing to do with it."""
    other = {"narHash": HASHES[OUT], "narSize": 4096, "references": list[str]()}
    return json.dumps({**infos(), APART: other})


@pytest.mark.parametrize("form", FORMS)
def test_all_of_a_file_is_planned_by_itself_in_every_form(terminal: Terminal, form: str) -> None:
    found = document(planned(terminal, FORMS[form], "--json", here=False))
    assert (found["roots"], found["shell"]) == ([OUT], None)
    assert [layer["paths"] for layer in found["layers"]] == [[LIBRARY], [OUT]]


@pytest.mark.parametrize("form", FORMS)
def test_a_store_path_of_it_is_planned_as_it_would_be_built(terminal: Terminal, form: str) -> None:
    by_nix = document(terminal.run("plan", OUT, "--json"))
    before = terminal.fake.calls
    assert document(planned(terminal, FORMS[form], OUT, "--json")) == by_nix
    assert by_nix["shell"] is not None
    assert terminal.fake.calls == before


def test_with_what_evaluation_knew_it_is_the_plan_of_the_flake(terminal: Terminal) -> None:
    terminal.fake.answer("flakes eval --json", value(**FACTS))
    terminal.fake.nix()
    done = terminal.run("plan", ".#app", "--html", "by-nix.html")
    assert done.returncode == 0, done.stderr
    (terminal.directory / "facts").write_text(json.dumps(FACTS))
    args = (OUT, "--package", "facts", "--html", "given.html")
    assert planned(terminal, FORMS["path-info as a map"], *args).stdout == done.stdout
    pages = [(terminal.directory / f"{name}.html").read_text() for name in ("by-nix", "given")]
    assert pages[0] == pages[1]


def test_of_a_store_path_whose_files_are_elsewhere_the_file_alone_is_planned(
    terminal: Terminal,
) -> None:
    done = planned(terminal, with_another(), OUT, "--json", here=False)
    assert document(done)["roots"] == [OUT]
    assert set(document(done)["sizes"]) == {OUT, LIBRARY}
    assert f"nix2oci: {OUT} is not in the store here: no file is read\n" in done.stderr
    both = document(planned(terminal, with_another(), OUT, APART, "--json", here=False))
    assert both["roots"] == [OUT, APART]
    with_contents = (OUT, "--contents", APART, "--json")
    assert document(planned(terminal, with_another(), *with_contents, here=False)) == both


def test_a_recorded_closure_of_several_machines_is_planned_as_one_image(terminal: Terminal) -> None:
    found = document(planned(terminal, with_another(), "--json", here=False))
    assert found["roots"] == sorted([OUT, APART])


HEADERS = str(store_path("library-1.2-dev"))


def test_development_files_are_told_by_plan_and_build(terminal: Terminal) -> None:
    file = b"a header"
    terminal.fake.place(HEADERS).write_bytes(file)
    needs = {"references": sorted([LIBRARY, OUT, HEADERS])}
    headers = {"narHash": sri(file), "narSize": len(nar(file)), "references": list[str]()}
    text = json.dumps({**infos(**needs), HEADERS: headers})
    line = (
        f"warning: library (dev): development files in the image, {len(nar(file))} B; "
        "what keeps them: nix2oci why closure library-1.2-dev"
    )
    assert planned(terminal, text, OUT).stdout.endswith(f"{line}\n")
    store = ("--store", str(terminal.fake.root))
    done = terminal.run("build", "--closure", "closure", OUT, *store, "--json", **NO_NIX)
    assert f"nix2oci: {line}\n" in done.stderr
    assert document(done)["development"] == [{"path": HEADERS, "nar_size": len(nar(file))}]
    quiet = terminal.run("build", "-q", "--closure", "closure", OUT, *store, "-o", "x", **NO_NIX)
    assert quiet.stderr == ""


# --- what is wrong -----------------------------------------------------------------------------

NOT_CLOSED = json.dumps({OUT: infos()[OUT]})
OTHER_ROOT = json.dumps({LIBRARY: infos()[LIBRARY]})


@pytest.mark.parametrize("here", [True, False], ids=["the store is here", "no store is here"])
@pytest.mark.parametrize(
    ("text", "args", "code", "error"),
    [
        pytest.param(
            NOT_CLOSED,
            (),
            4,
            f"cannot use closure: {OUT} refers to {LIBRARY}, which is not in it",
            id="a closure that is not closed",
        ),
        pytest.param(
            NOT_CLOSED,
            (OUT,),
            4,
            f"cannot use closure: {OUT} refers to {LIBRARY}, which is not in it",
            id="a store path that is not closed",
        ),
        pytest.param(
            OTHER_ROOT,
            (OUT,),
            4,
            f"cannot use closure: it lacks its root {OUT}",
            id="a root outside of it",
        ),
        pytest.param("{}", (OUT,), 3, "cannot read `nix path-info` output", id="nothing in it"),
        pytest.param(
            registration(bare_hash=True).rsplit("\n", 2)[0],
            (),
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
            (OUT, "--from", "https://cache.example.com"),
            2,
            "cannot use --closure with --from",
            id="another store",
        ),
        pytest.param(
            json.dumps(infos()),
            ("--all",),
            2,
            "cannot use --closure with several images",
            id="several images",
        ),
        pytest.param(
            json.dumps(infos()),
            ("--package", "facts"),
            2,
            "cannot use --package: no store path is named that it could be about",
            id="facts of nothing",
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
def test_what_is_wrong_is_told_as_by_build(
    terminal: Terminal, text: str, args: tuple[str, ...], *, code: int, error: str, here: bool
) -> None:
    done = planned(terminal, text, *args, here=here)
    assert (done.returncode, done.stdout) == (code, "")
    assert f"error: {error}" in done.stderr
    assert terminal.fake.calls == []


@pytest.mark.parametrize("command", ["plan", "build"])
def test_a_graph_of_another_machine_is_refused(terminal: Terminal, command: str) -> None:
    node = {b"bin": {b"app": AARCH64}}
    place = Path(f"{terminal.fake.root}{OUT}")
    shutil.rmtree(place)
    write(os.fsencode(place), node)
    (terminal.directory / "closure").write_text(
        json.dumps(infos(narHash=sri(node), narSize=len(nar(node))))
    )
    (terminal.directory / "facts").write_text(json.dumps({"system": "x86_64-linux"}))
    given = ("--closure", "closure", "--package", "facts", "--store", str(terminal.fake.root))
    done = terminal.run(command, OUT, *given, **NO_NIX)
    assert (done.returncode, done.stdout) == (5, "")
    assert (
        f"error: cannot make an image for linux/amd64: {OUT}/bin/app is for aarch64" in done.stderr
    )
    assert terminal.left() == ["closure", "facts"]


def test_another_nar_hash_is_for_build_to_find_since_a_plan_reads_no_file_to_its_end(
    terminal: Terminal,
) -> None:
    text = json.dumps(infos(narHash=HASHES[LIBRARY]))
    same = document(planned(terminal, json.dumps(infos()), OUT, "--json"))
    assert document(planned(terminal, text, OUT, "--json")) == same


# --- why and diff ------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_why_shows_the_chain_and_no_file(terminal: Terminal, form: str) -> None:
    (terminal.directory / "closure").write_text(FORMS[form])
    done = terminal.run("why", "closure", "library", **NO_NIX)
    assert (done.returncode, done.stderr) == (0, "")
    size = infos()[LIBRARY]["narSize"]
    assert done.stdout == (
        f"{LIBRARY}\n"
        f"  {size} B of NAR; without it {size} B would go\n"
        "  1 store path refers to it\n"
        "\n"
        "  app-1.0  (nothing in the file refers to it)\n"
        "     -> library-1.2\n"
    )
    (found,) = json.loads(terminal.run("why", "--json", "closure", "library").stdout)["paths"]
    assert [step["path"] for step in found["chains"][0]["steps"]] == [OUT, LIBRARY]
    assert found["chains"][0]["steps"][0]["files"] == []
    assert found["saved_packed"] is None


def test_what_is_not_in_the_file_cannot_be_explained(terminal: Terminal) -> None:
    (terminal.directory / "closure").write_text(FORMS["path-info as a map"])
    done = terminal.run("why", "closure", "openssl")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: cannot explain 'openssl': no store path of closure has that name",
        "hint: see: nix2oci plan -v --closure closure",
    ]


@pytest.mark.parametrize("form", FORMS)
def test_diff_takes_every_form(terminal: Terminal, form: str) -> None:
    (terminal.directory / "old").write_text(FORMS[form])
    (terminal.directory / "new").write_text(with_another())
    done = terminal.run("diff", "old", "new", "--json", **NO_NIX)
    found = document(done)
    assert [(each["change"], each["package"]) for each in found["changes"]] == [("added", "apart")]
    assert (found["old"]["kind"], found["new"]["kind"]) == ("closure", "closure")


def test_a_registration_that_lies_in_the_store_is_a_closure(
    terminal: Terminal, tmp_path: Path
) -> None:
    place = tmp_path / "nix/store/0123456789abcdfghijklmnpqrsvwxyz-closure-info/registration"
    place.parent.mkdir(parents=True)
    place.write_text(registration(bare_hash=False))
    assert terminal.run("why", str(place), "library", **NO_NIX).returncode == 0
