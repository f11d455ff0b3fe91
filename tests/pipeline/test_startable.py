"""What a build and a plan say of a program that no engine could start, from outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.bases import base
from support.elf_heads import elf_with_interpreter
from support.fakenix import OUT
from support.fakestore import Link, Node, Program
from support.smallimage import directory, entry, link
from support.terminal import Terminal

ELF = Program(b"\x7fELF")
APP = f"{OUT}/bin/app"
LOADER = "/lib64/ld-linux-x86-64.so.2"
OTHER = "start another program with --entrypoint"


def with_app(content: bytes, **more: Node) -> Node:
    others = {name.encode(): node for name, node in more.items()}
    return {b"bin": {b"app": Program(content), **others}}


def refused(app: Node, flags: list[str], cause: str, hint: str, name: str) -> Any:
    return pytest.param(app, flags, cause, hint, id=name)


REFUSED = [
    refused(
        with_app(b"#!/bin/sh\n"),
        [],
        f"{APP}: its interpreter '/bin/sh' is not in the image",
        f"give the image /bin/sh with --contents nixpkgs#bash --view sh, or {OTHER}",
        "a script whose shell is not there",
    ),
    refused(
        with_app(b"#! /bin/sh -e\n", sh=ELF),
        [],
        f"{APP}: its interpreter '/bin/sh' is not in the image",
        f"give the image /bin/sh with --view sh, or {OTHER}",
        "a script whose shell the closure has, but not at /bin/sh",
    ),
    refused(
        with_app(b"#!/usr/bin/env bash\n"),
        [],
        f"{APP}: its interpreter '/usr/bin/env' is not in the image",
        "add what has bin/env, such as --contents nixpkgs#coreutils "
        f"(--view programs links it in /usr/bin), or {OTHER}",
        "a script without env",
    ),
    refused(
        with_app(b"#!/usr/bin/env -S A=1 bash -e\n", env=ELF),
        [],
        f"{APP}: its interpreter '/usr/bin/env' finds no 'bash'",
        "add what has bin/bash, such as --contents nixpkgs#bash "
        f"(--view programs links it in /usr/bin), or {OTHER}",
        "a script with env, and nothing that env would start",
    ),
    refused(
        with_app(b"#!/bin/run\n", run=Program(b"#!/bin/none\n")),
        [],
        f"{APP}: {OUT}/bin/run: its interpreter '/bin/none' is not in the image",
        "add what has bin/none, such as --contents nixpkgs#none "
        f"(--view programs links it in /usr/bin), or {OTHER}",
        "an interpreter that is a script itself",
    ),
    refused(
        with_app(b"#!/bin/run\r\n", run=ELF),
        [],
        f"{APP}: its interpreter '/bin/run\\r' is not in the image",
        f"its lines end in CR LF: convert it to LF alone, or {OTHER}",
        "a script with the line ends of Windows",
    ),
    refused(
        with_app(elf_with_interpreter(LOADER.encode())),
        [],
        f"{APP}: its interpreter '{LOADER}' is not in the image",
        "build it with the loader of the store (nixpkgs: autoPatchelfHook), "
        f"add one, such as --contents nixpkgs#glibc, or {OTHER}",
        "a program whose loader is not there",
    ),
    refused(
        with_app(b"#!/bin/sh\n", linked=Link(b"app")),
        ["--entrypoint", "linked"],
        f"{OUT}/bin/linked: {APP}: its interpreter '/bin/sh' is not in the image",
        f"give the image /bin/sh with --contents nixpkgs#bash --view sh, or {OTHER}",
        "a link to such a script",
    ),
    refused(
        with_app(b"echo hello\n", more=ELF),
        [],
        f"{APP}: it is no program: neither ELF nor a script that begins with '#!'",
        "choose one with --entrypoint: more",
        "text without #!",
    ),
    refused(
        with_app(b""),
        [],
        f"{APP}: it is no program: neither ELF nor a script that begins with '#!'",
        f"{OTHER}; an image of data that starts nothing has --entrypoint none",
        "an empty file",
    ),
    refused(
        with_app(b"\x7fELF"),
        ["--entrypoint", "/share/data/x"],
        "/share/data/x: it is not in the image",
        "choose one with --entrypoint: app",
        "a path that the image does not have",
    ),
    refused(
        with_app(b"\x7fELF"),
        ["--entrypoint", "/bin/app", "--view", "no-programs"],
        "/bin/app: it is not in the image",
        "choose one with --entrypoint: app",
        "a program that is not linked",
    ),
    refused(
        with_app(b"\x7fELF"),
        ["--entrypoint", "/etc/passwd"],
        "/etc/passwd: it is not an executable file",
        "choose one with --entrypoint: app",
        "a file of the root that is no program",
    ),
    refused(
        with_app(b"\x7fELF"),
        ["--entrypoint", "/tmp"],
        "/tmp: it is not an executable file",
        "choose one with --entrypoint: app",
        "a directory",
    ),
    refused(
        with_app(b"\x7fELF"),
        ["--entrypoint", "none", "--cmd", "nothing"],
        "nothing: it is not in the image",
        "choose one with --entrypoint: app",
        "a command without an entrypoint, which PATH does not find",
    ),
]


@pytest.mark.parametrize(("app", "flags", "cause", "hint"), REFUSED)
def test_what_cannot_be_started_is_an_error_of_build_and_plan(
    tmp_path: Path, app: Node, flags: list[str], cause: str, hint: str
) -> None:
    terminal = Terminal.make(tmp_path, app)
    for command in ("build", "plan"):
        done = terminal.run(command, ".#app", "--quiet", *flags)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: cannot use entrypoint {cause}\nhint: {hint}\n"
        assert terminal.left() == []


@pytest.mark.parametrize(
    ("app", "flags"),
    [
        pytest.param(with_app(b"#!/bin/sh\n", sh=ELF), ["--view", "sh"], id="a shell at /bin/sh"),
        pytest.param(with_app(b"#!/bin/run\n", run=ELF), [], id="an interpreter in /bin"),
        pytest.param(
            with_app(b"#!/usr/bin/env run\n", env=ELF, run=ELF), [], id="env and what it starts"
        ),
        pytest.param(
            with_app(b"#!/usr/bin/env --debug run\n", env=ELF), [], id="env with what is not known"
        ),
        pytest.param(with_app(b"#!/run/wrappers/bin/x\n"), [], id="what a mount may bring"),
        pytest.param(
            {
                b"bin": {b"app": Program(elf_with_interpreter(LOADER.encode()))},
                b"lib": {b"ld-linux-x86-64.so.2": ELF},
            },
            [],
            id="a loader that the root links",
        ),
        pytest.param(with_app(b"\x7fELF"), ["--entrypoint", "/sbin/app"], id="behind two links"),
        pytest.param(
            with_app(b"\x7fELF"),
            ["--entrypoint", "none", "--cmd", "app"],
            id="a command that PATH finds",
        ),
    ],
)
def test_what_can_be_started_is_built_and_valid(
    tmp_path: Path, app: Node, flags: list[str]
) -> None:
    terminal = Terminal.make(tmp_path, app)
    done = terminal.run("build", ".#app", "-o", "x", *flags)
    assert done.returncode == 0, done.stderr
    assert terminal.run("validate", "x").stdout.endswith("x is valid: 0 errors, 0 warnings\n")


def test_the_base_brings_what_is_missing(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path, with_app(b"#!/bin/sh\n"))
    base().write(terminal.directory / "base.oci")
    done = terminal.run("build", ".#app", "--base", "base.oci:1.0", "-o", "x")
    assert done.returncode == 0, done.stderr


def test_a_program_of_the_base_has_its_interpreter_there(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path)
    image = base(directory("usr"), directory("usr/bin"), entry("usr/bin/x", b"#!/bin/bash\n"))
    image.write(terminal.directory / "base.oci")
    flags = ("--base", "base.oci:1.0", "--entrypoint", "/usr/bin/x")
    done = terminal.run("build", ".#app", "-q", "-o", "x", *flags)
    assert done.stderr.splitlines()[0] == (
        "error: cannot use entrypoint /usr/bin/x: its interpreter '/bin/bash' is not in the image"
    )


def test_an_interpreter_may_come_later_where_the_user_says_what_is_in_the_image(
    tmp_path: Path,
) -> None:
    """A volume or an image on top may bring one; by its name alone the program is the flake's."""
    terminal = Terminal.make(tmp_path, with_app(b"#!/bin/cat\n"))
    done = terminal.run("build", ".#app", "-o", "x", "--entrypoint", "/usr/bin/app")
    assert done.returncode == 0, done.stderr
    words = f"{APP}: its interpreter '/bin/cat' is not in the image [interpreter]"
    assert f"nix2oci: warning: {words}" in done.stderr.splitlines()
    assert f"warning: {words}" in terminal.run("validate", "x").stdout.splitlines()
    assert terminal.run("build", ".#app", "-o", "y", "--entrypoint", "app").returncode == 2


def test_a_link_of_the_base_may_lead_to_our_program(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path)
    base(directory("opt"), link("opt/run", APP)).write(terminal.directory / "base.oci")
    flags = ("--base", "base.oci:1.0", "--entrypoint", "/opt/run")
    done = terminal.run("build", ".#app", "-o", "x", *flags)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({b"share": {b"data": b"x"}}, id="a directory"),
        pytest.param(b"x", id="a file"),
        pytest.param(Program(b"#!/bin/sh\n"), id="a script that nobody starts"),
        pytest.param({b"srv": {b"run": Program(b"#!/bin/sh\n")}}, id="a script in a directory"),
    ],
)
def test_an_image_of_data_starts_nothing(tmp_path: Path, data: Node) -> None:
    terminal = Terminal.make(tmp_path, data)
    done = terminal.run("build", ".#app", "-q", "-o", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--entrypoint none" in done.stderr or "not a package" in done.stderr
    done = terminal.run("build", ".#app", "-o", "x", "--entrypoint", "none")
    assert done.returncode == 0, done.stderr
    assert "shell" not in done.stderr.replace("what else needs a shell", "")
    assert terminal.run("validate", "x").stdout.splitlines()[-1].startswith("x is valid: 0 errors")
    assert '"Entrypoint"' not in terminal.run("inspect", "x", "--json").stdout


def test_a_program_may_be_named_none(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path, {b"bin": {b"none": ELF, b"other": ELF}})
    done = terminal.run("build", ".#app", "-o", "x", "--json", "--entrypoint", "none")
    assert f'"{OUT}/bin/none"' in done.stdout, done.stderr


@pytest.mark.parametrize("given", ["/../../etc/passwd", "/bin/./app", "/bin/app/", "//bin/app"])
def test_a_path_is_written_in_its_shortest_form(tmp_path: Path, given: str) -> None:
    done = Terminal.make(tmp_path).run("build", ".#app", "--entrypoint", given)
    assert done.returncode == 2
    assert f"--entrypoint: expected an absolute path in its shortest form, got '{given}'" in (
        done.stderr
    )


SITE: Node = {
    b"bin": {b"app": ELF},
    b"etc": {b"hosts": b"", b"mtab": Link(b"/proc/mounts"), b"site.conf": b""},
    b"share": {},
    b"srv": {b"www": {}},
}


@pytest.mark.parametrize("command", [("build", "-o", "x"), ("plan",)])
def test_what_the_root_does_not_show_is_told_once(tmp_path: Path, command: tuple[str, ...]) -> None:
    terminal = Terminal.make(tmp_path, SITE)
    done = terminal.run(*command, ".#app", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("also has") == 1
    assert (
        "nix2oci: app-1.0 also has share, in the store alone; "
        "and etc/hosts, etc/mtab, left out: the engine brings its own\n"
    ) in done.stderr
    names = ["share", "etc/hosts", "etc/mtab"]
    assert json.loads(done.stdout)["left_out"] == [{"path": OUT, "names": names}]


def test_nothing_is_told_where_the_root_shows_all(tmp_path: Path) -> None:
    done = Terminal.make(tmp_path).run("build", ".#app", "--json", "-o", "x")
    assert "also has" not in done.stderr
    assert json.loads(done.stdout)["left_out"] == []
