"""The head of an ELF file says which machine it is for, and an image holds no other's programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.elf_heads import AARCH64, I386, X86_64, elf
from support.fakenix import missing
from support.fakestore import FakeStore, Link, Node, Program, store_path
from support.terminal import Terminal

from nix2oci.errors import RepresentationError
from nix2oci.launcher.encoder import MACHINES
from nix2oci.nix.machine import check_machines, machine
from nix2oci.nix.store_files import StoreFiles
from nix2oci.pipeline.templates import launcher_template

ROOT = str(store_path("app")).encode()


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        pytest.param(elf(62), 62, id="an executable"),
        pytest.param(elf(183, 3), 183, id="a shared object, or an executable at any address"),
        pytest.param(elf(22, order=">"), 22, id="most significant byte first"),
        pytest.param(elf(3, bits=1), 3, id="32 bits"),
        pytest.param(elf(183, 1), None, id="an object file that nobody starts"),
        pytest.param(elf(62)[:19], None, id="too short for its machine"),
        pytest.param(b"\x7fELF" + b"\x09" * 30, None, id="no order of bytes"),
        pytest.param(b"#!/bin/sh\n" + bytes(20), None, id="a script"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_the_machine_of_a_file(head: bytes, expected: int | None) -> None:
    assert machine(head) == expected


@pytest.mark.parametrize("name", MACHINES)
def test_the_machine_of_a_launcher(name: str) -> None:
    assert machine(launcher_template(name)[:64]) == MACHINES[name]


def check(store: FakeStore, node: Node, system: str, *started: str) -> None:
    root = store.add("app", node)
    platform = {"x86_64-linux": "linux/amd64", "aarch64-linux": "linux/arm64"}.get(system, "any")
    paths = [f"{root.path}/{path}".encode() for path in started]
    closure = store.closure(root.path)
    check_machines(StoreFiles.of(closure, store.root), closure, paths, system, platform)


@pytest.mark.parametrize(
    ("files", "system"),
    [
        pytest.param({b"bin": {b"app": X86_64}}, "x86_64-linux", id="the same"),
        pytest.param({b"bin": {b"app": I386}}, "x86_64-linux", id="32 bits on 64"),
        pytest.param({b"lib": {b"app.so": AARCH64}}, "x86_64-linux", id="not in bin/"),
        pytest.param({b"bin": {b"app": AARCH64.content}}, "x86_64-linux", id="not executable"),
        pytest.param({b"bin": {b"app": Program(b"#!/x")}}, "x86_64-linux", id="a script"),
        pytest.param({b"bin": {b"app": Link(b"/out")}}, "x86_64-linux", id="a link to nowhere"),
        pytest.param({b"bin": {b"app": AARCH64}}, "mips-linux", id="a system that is not known"),
        pytest.param(
            {b"bin": {b"app": Program(b"#!%s/bin/app\n" % ROOT)}},
            "x86_64-linux",
            id="a script that is its own interpreter",
        ),
        pytest.param(b"no directory", "x86_64-linux", id="a file"),
    ],
)
def test_programs_that_fit(store: FakeStore, files: Node, system: str) -> None:
    check(store, files, system)


@pytest.mark.parametrize(
    ("files", "started", "wrong"),
    [
        pytest.param({b"bin": {b"app": X86_64}}, (), "bin/app", id="a program"),
        pytest.param({b"sbin": {b"appd": X86_64}}, (), "sbin/appd", id="one in sbin/"),
        pytest.param(
            {b"bin": {b".app-wrapped": X86_64}}, (), "bin/.app-wrapped", id="one behind a wrapper"
        ),
        pytest.param(
            {b"bin": {b"app": Link(b"../libexec/app")}, b"libexec": {b"app": X86_64}},
            (),
            "bin/app",
            id="one behind a link",
        ),
        pytest.param(
            {b"libexec": {b"app": X86_64}}, ("libexec/app",), "libexec/app", id="what is started"
        ),
        pytest.param(
            {b"bin": {b"app": Program(b"#! %s/libexec/python -I\n" % ROOT)}}
            | {b"libexec": {b"python": X86_64}},
            (),
            "libexec/python",
            id="the interpreter of a script",
        ),
    ],
)
def test_programs_of_another_machine(
    store: FakeStore, files: Mapping[bytes, Node], started: tuple[str, ...], wrong: str
) -> None:
    with pytest.raises(RepresentationError) as caught:
        check(store, files, "aarch64-linux", *started)
    root = store.infos[0].path
    assert (
        str(caught.value) == f"cannot make an image for linux/arm64: {root}/{wrong} is for x86_64"
    )
    assert caught.value.hint == (
        "name the platform that it was built for with --platform, or build it for linux/arm64"
    )


def test_a_machine_without_a_name_is_named_by_its_number(store: FakeStore) -> None:
    with pytest.raises(RepresentationError, match=r"/bin/app is for machine 8$"):
        check(store, {b"bin": {b"app": Program(elf(8))}}, "x86_64-linux")


def test_build_makes_no_image_of_it(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path, {b"bin": {b"app": AARCH64}})
    done = terminal.run("build", ".#app")
    assert (done.returncode, done.stdout, terminal.left()) == (5, "", [])
    assert "error: cannot make an image for linux/amd64: /nix/store/" in done.stderr
    assert "-app-1.0/bin/app is for aarch64\n" in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "hint: if it is meant to be: "
        "nix2oci build '.#packages.x86_64-linux.app' --platform linux/arm64"
    )


def test_the_hint_names_the_attribute_that_nix_took(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path, {b"bin": {b"app": AARCH64}})
    terminal.fake.answer("#packages.", stderr=missing("packages"), code=1)
    terminal.fake.nix()
    done = terminal.run("build", ".#app")
    assert "'.#legacyPackages.x86_64-linux.app' --platform linux/arm64\n" in done.stderr


def test_a_package_of_another_system_is_named_as_a_whole(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path)
    names = {"x86_64-linux": ["app"], "riscv64-linux": ["other"]}
    terminal.fake.answer(".#packages", json.dumps(names))
    terminal.fake.answer("eval --json", stderr=missing("app"), code=1)
    terminal.fake.nix()
    done = terminal.run("build", ".#app", "--platform", "linux/arm64")
    assert "the flake has no package or app 'app' for aarch64-linux\n" in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "hint: it has no packages for aarch64-linux; on x86_64-linux it has "
        "'.#packages.x86_64-linux.app', which is built when named so"
    )
