"""Wrappers and shells from outside: a fake Nix, a real build, and what is said of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.elf_heads import elf_with_interpreter
from support.fakenix import DRV, OUT
from support.fakestore import Program, nar
from support.json_page import documented
from support.terminal import Completed, Terminal
from support.wrapped_app import (
    BASH,
    LIB,
    RUNS,
    SHELL,
    SUBPROCESS,
    WRAPPED,
    give,
    wrapper,
)

from nix2oci.oci.base_image import read_base_image
from nix2oci.oci.layout.source import open_image
from nix2oci.oci.spec import Platform


@pytest.fixture
def here(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def said(done: Completed) -> list[str]:
    """What is said of shells on stderr."""
    about = re.compile(r"wrapper|shell|shebang|launcher|bash|call ")
    lines = (line.removeprefix("nix2oci: ") for line in done.stderr.splitlines())
    return [line for line in lines if about.search(line) and not line.startswith("looking")]


def shell(terminal: Terminal, *options: str) -> Any:
    done = terminal.run("build", ".#app", "--json", "-o", "x", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["shell"]


def test_a_wrapper_becomes_a_launcher_and_the_shell_goes(here: Terminal) -> None:
    give(here, WRAPPED)
    done = here.run("build", ".#app", "-o", "x")
    line = "1 wrapper became a launcher; dropped readline-8 and bash-5.2: 5.8 kB"
    assert said(done) == [line], done.stderr
    assert ", of 1 store path; digest" in done.stderr
    assert here.run("validate", "x").stdout == "x is valid: 0 errors, 0 warnings\n"


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(f"{{source: {OUT}, path: bin/app, copy: true}}", id="a copy of a wrapper"),
        pytest.param(f"{{text: '#!{BASH}/bin/bash'}}", id="a text that names it"),
        pytest.param(f"{{link: {BASH}/bin/bash}}", id="a link to it"),
    ],
)
def test_a_shell_that_files_need_stays(here: Terminal, entry: str) -> None:
    give(here, WRAPPED)
    made = [{"drvPath": DRV, "outputs": {"out": OUT}}, OUT]
    here.fake.answer("build --json", json.dumps(made))
    here.fake.nix()
    (here.directory / "flake.nix").write_text("{}")
    (here.directory / "nix2oci.yaml").write_text(f"files: {{/opt/app: {entry}}}")
    done = here.run("build", ".#app", "-o", "../x")
    assert done.returncode == 0, done.stderr
    assert "dropped" not in done.stderr
    assert here.run("ls", "../x", BASH).returncode == 0


@pytest.mark.parametrize("mode", ["auto", "drop"])
@pytest.mark.parametrize(
    "program",
    [
        pytest.param(elf_with_interpreter(b"/lib64/ld.so.9"), id="without its loader"),
        pytest.param(b"#!/lib64/ld.so.9\n", id="without its interpreter"),
    ],
)
def test_a_launcher_is_followed_to_what_it_starts(
    here: Terminal, program: bytes, mode: str
) -> None:
    app = {b"bin": {b"app": wrapper(b"export A='1'"), b".app-wrapped": Program(program)}}
    give(here, app)
    done = here.run("build", ".#app", "-o", "x", "-q", "--shell", mode)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == (
        f"error: cannot use entrypoint {OUT}/bin/app: {OUT}/bin/.app-wrapped: "
        "its interpreter '/lib64/ld.so.9' is not in the image"
    )


def test_the_shell_of_the_program_itself_is_not_dropped_in_silence(here: Terminal) -> None:
    give(here, RUNS)
    done = here.run("build", ".#app", "-o", "x", "-q", "--shell", "drop")
    assert (done.returncode, here.left()) == (2, [])
    missing = f"its interpreter '{BASH}/bin/bash' is not in the image"
    assert done.stderr.splitlines() == [
        f"error: cannot use entrypoint {OUT}/bin/app: {missing}",
        "hint: keep its shell with --shell auto, or start another program with --entrypoint",
    ]


@pytest.mark.parametrize("below", ["keep", "drop"])
def test_an_image_stands_on_one_of_the_same_paths(here: Terminal, below: str) -> None:
    """A launcher in one and a script in the other; the image on top decides, and has its shell."""
    give(here, WRAPPED)
    done = here.run("build", ".#app", "-o", "base.oci", "--shell", below)
    assert done.returncode == 0, done.stderr
    for above in ("auto", "keep", "forbid"):
        done = here.run("build", ".#app", "--base", "base.oci", "--shell", above, "-o", above)
        assert done.returncode == 0, done.stderr
        said = here.run("validate", above).stdout
        assert said.endswith(f"{above} is valid: 0 errors, 0 warnings\n")
        image = read_base_image(open_image(str(here.directory / above)), Platform("amd64"))
        program = f"{OUT}/bin/app"[1:].encode()
        has_shell = f"{BASH}/bin/bash"[1:].encode() in image.nodes
        assert (image.read(program)[:2] == b"#!") == (above == "keep")
        assert has_shell == ("keep" in (above, below))


def test_inspect_lists_launchers_by_their_content(here: Terminal) -> None:
    give(here, WRAPPED)
    here.run("build", ".#app", "-o", "x", "--shell", "auto")
    here.run("build", ".#app", "-o", "y", "--shell", "keep")
    assert here.run("inspect", "x").stdout.splitlines()[-3:] == [
        here.run("inspect", "x").stdout.splitlines()[-3],
        "1 launcher stands for a wrapper:",
        f"  {OUT}/bin/app",
    ]
    assert ", 1 store path\n" in here.run("inspect", "x").stdout
    assert json.loads(here.run("inspect", "--json", "x").stdout)["launchers"] == [f"{OUT}/bin/app"]
    assert json.loads(here.run("inspect", "--json", "y").stdout)["launchers"] == []
    assert "launcher" not in here.run("inspect", "y").stdout


def test_the_image_records_what_was_done(here: Terminal) -> None:
    give(here, WRAPPED)
    document = shell(here)
    assert json.loads(here.run("inspect", "--json", "x").stdout)["shell"] == document
    assert here.run("inspect", "-v", "x").stdout.splitlines()[-3:] == [
        f"{OUT}/bin/app: F4, became a launcher for {OUT}/bin/.app-wrapped",
        f"dropped: {BASH}  552 B",
        f"dropped: {LIB}  5.3 kB",
    ]


def test_the_image_records_why_the_shell_stays(here: Terminal) -> None:
    give(here, RUNS)
    document = shell(here)
    assert json.loads(here.run("inspect", "--json", "x").stdout)["shell"] == document
    assert here.run("inspect", "-v", "x").stdout.splitlines()[-3:] == [
        (
            f"{OUT}/bin/app:2: stays: run-line: "
            "the line does more than set variables and change the directory"
        ),
        f"{BASH} stays: needed by 1 file",
        f"  {OUT}/bin/app: shebang",
    ]


def test_an_image_with_its_wrappers_kept_records_nothing(here: Terminal) -> None:
    give(here, WRAPPED)
    shell(here, "--shell", "keep")
    document = json.loads(here.run("inspect", "--json", "x").stdout)
    assert document["shell"] is None
    assert "nix2oci.shell" not in document["annotations"]


def test_keep_makes_the_image_as_if_there_were_no_wrappers(here: Terminal) -> None:
    give(here, WRAPPED)
    found = shell(here, "--shell", "keep")
    assert found.pop("mode") == "keep"
    assert not any(found.values())
    assert said(here.run("build", ".#app", "-o", "y", "--shell", "keep")) == []


def test_all_in_one_layer_has_no_path_twice_and_records_no_store_paths(here: Terminal) -> None:
    give(here, WRAPPED)
    shell(here, "--max-layers", "1")
    assert here.run("validate", "x").stdout == "x is valid: 0 errors, 0 warnings\n"
    document = json.loads(here.run("inspect", "--json", "x").stdout)
    assert document["launchers"] == [f"{OUT}/bin/app"]
    assert len(document["layers"]) == 1
    index = json.loads((here.directory / "x/index.json").read_text())
    (digest,) = (entry["digest"].removeprefix("sha256:") for entry in index["manifests"])
    manifest = json.loads((here.directory / "x/blobs/sha256" / digest).read_text())
    assert "annotations" not in manifest["layers"][0]


def test_history_says_that_there_are_launchers(here: Terminal) -> None:
    give(here, WRAPPED)
    shell(here)
    history = json.loads(here.run("inspect", "--json", "x").stdout)["config"]["history"]
    assert [each["comment"] for each in history[-1:]] == [
        "file system: /bin, /etc, users, certificates; launchers for wrappers: 1"
    ]


def test_what_works_as_it_is_needs_no_line(here: Terminal) -> None:
    give(here, RUNS)
    assert said(here.run("build", ".#app", "-o", "x")) == []


def test_what_keeps_the_shell_is_told_with_the_line(here: Terminal) -> None:
    give(here, RUNS)
    why = "the line does more than set variables and change the directory ('mkdir x')"
    assert said(here.run("build", ".#app", "-o", "x", "-v"))[-3:] == [
        f"bash-5.2 stays: {OUT[44:]}/bin/app needs it",
        f"{OUT}/bin/app:2: shebang: run-line: {why}",
        "'--shell drop' would save 5.8 kB and break the program app",
    ]


def test_forbid_ends_with_5_and_leaves_nothing(here: Terminal) -> None:
    give(here, RUNS)
    done = here.run("build", ".#app", "--shell", "forbid")
    error, hint, line = done.stderr.splitlines()[-3:]
    assert (done.returncode, done.stdout, here.left()) == (5, "", [])
    cause = "bash-5.2 stays, 1 file names it"
    assert error == f"error: cannot make an image without a shell: {cause}"
    assert hint == "hint: what stands in the way:"
    assert line.startswith(f"  {OUT}/bin/app:2: shebang: run-line: ")


def test_what_is_known_to_need_a_shell_is_told_in_words(here: Terminal) -> None:
    give(here, WRAPPED, python=SUBPROCESS)
    assert said(here.run("build", ".#app", "-o", "x")) == ["1 wrapper became a launcher"]
    assert said(here.run("build", ".#app", "-o", "x", "-v"))[-3:] == [
        "1 wrapper became a launcher",
        "bash-5.2 stays: Python's subprocess (1 file) needs it",
        "'--shell drop' would save 5.8 kB and break subprocess with shell=True",
    ]
    assert said(here.run("build", ".#app", "-o", "y", "--shell", "drop")) == [
        "1 wrapper became a launcher; dropped readline-8 and bash-5.2: 5.8 kB",
        "warning: without a shell these do not work: subprocess with shell=True",
    ]


def test_a_machine_that_has_no_launcher_says_so(here: Terminal) -> None:
    give(here, WRAPPED, system="i686-linux")
    why = "cannot make a launcher for i686: there is one for x86_64 and aarch64"
    assert said(here.run("build", ".#app", "-o", "x")) == [
        f"warning: 1 wrapper stayed as it is: {why}"
    ]


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--view", "sh"), id="a shell at /bin/sh"),
        pytest.param(("--env", f"SHELL={BASH}/bin/bash"), id="a variable that names it"),
        pytest.param(("--cmd", f"{BASH}/bin/bash"), id="an argument"),
        pytest.param(("--entrypoint", f"{BASH}/bin/bash"), id="the program itself"),
        pytest.param(("--users", f"me:1000:1000:/home/me:{BASH}/bin/bash"), id="a user's shell"),
    ],
)
@pytest.mark.parametrize("mode", ["auto", "drop"])
def test_a_shell_that_is_asked_for_stays(
    options: tuple[str, ...], mode: str, here: Terminal
) -> None:
    give(here, WRAPPED)
    found = shell(here, *options, "--shell", mode)
    reason = "--view sh asks for it" if "sh" in options else "the configuration names it"
    assert [(each["path"], each["wanted"]) for each in found["staying"]] == [(BASH, reason)]
    assert found["dropped"] == []


def test_plan_tells_of_each_wrapper_and_path(here: Terminal) -> None:
    give(here, WRAPPED)
    text = here.run("plan", ".#app").stdout
    sizes = {path: f"{len(nar(node)) / 1000:.1f} kB" for path, (node, _) in SHELL.items()}
    sizes[BASH] = f"{len(nar(SHELL[BASH][0]))} B"
    assert text.partition("\n\n")[2].splitlines() == [
        "wrappers:",
        f"  {OUT}/bin/app: F4, became a launcher for {OUT}/bin/.app-wrapped",
        "dropped: 5.8 kB",
        f"  {BASH}  {sizes[BASH]}",
        f"  {LIB}  {sizes[LIB]}",
    ]


def test_plan_tells_what_needs_the_shell_and_verbose_all_of_it(here: Terminal) -> None:
    assert isinstance(RUNS, Mapping)
    give(here, {**RUNS, b"share": {b"%02d" % n: BASH.encode() for n in range(20)}})
    short, long = (here.run("plan", ".#app", *v).stdout for v in ((), ("-v",)))
    lines = short.partition("\n\n")[2].splitlines()
    why = "the line does more than set variables and change the directory ('mkdir x')"
    assert lines[:4] == [
        "wrappers:",
        f"  {OUT}/bin/app:2: stays: run-line: {why}",
        f"{BASH} stays: 21 references",
        f"  {OUT}/bin/app:2: shebang: run-line: {why}",
    ]
    assert f"  {OUT}/share/00:1: text: {BASH}" in lines
    assert "  and 9 more: -v lists them" in lines
    assert "'--shell drop' would leave out: 5.8 kB" in lines
    assert long.count(f"  {OUT}/share/") == 20


def test_plan_of_a_recorded_closure_says_nothing_of_shells(here: Terminal) -> None:
    give(here, WRAPPED)
    script = (here.fake.bin / "nix").read_text()
    recorded = re.search(r"\*path-info\*\) .*?printf %s '(\{.*?\})'; exit", script)
    assert recorded
    (here.directory / "closure.json").write_text(recorded[1])
    done = here.run("plan", "--closure", "closure.json", "--json")
    assert json.loads(done.stdout)["shell"] is None


# --- documents ---------------------------------------------------------------------------------


def test_json_has_the_keys_that_are_documented(here: Terminal) -> None:
    give(here, RUNS, python=SUBPROCESS)
    found = shell(here)
    assert set(found) == documented("shell", 0)
    assert set(found["wrappers"][0]) == documented("shell", 1)
    assert set(found["staying"][0]) == documented("shell", 2)
    assert set(found["staying"][0]["files"][0]) == documented("shell", 3)
    assert json.loads(here.run("plan", ".#app", "--json").stdout)["shell"] == found


def test_json_of_a_wrapper_says_what_it_was_and_became(here: Terminal) -> None:
    give(here, WRAPPED)
    (found,) = shell(here)["wrappers"]
    assert (found["file"], found["became"]) == (f"{OUT}/bin/app", "launcher")
    assert (found["refusal"], found["obstacle"]) == (None, None)
    assert found["was"]["operations"] == [{"op": "set", "name": "A", "value": "1"}]
    assert found["chain"]["needs_shell"] is False


def test_json_of_a_script_says_why_it_stays(here: Terminal) -> None:
    give(here, RUNS, python=SUBPROCESS)
    found = shell(here)
    (script,) = found["wrappers"]
    assert (script["became"], script["was"]) == (None, None)
    reason = {key: script["refusal"][key] for key in ("reason", "line", "text")}
    assert reason == {"reason": "run-line", "line": 2, "text": "mkdir x"}
    files = found["staying"][0]["files"]
    assert [(file["kind"], file["line"], file["loss"]) for file in files] == [
        ("shebang", 1, None),
        ("text", 1, "subprocess with shell=True"),
    ]
