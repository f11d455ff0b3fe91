"""An output that is no package is called what it is: an image already, a script, a dev shell."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from support.fakenix import OUT, value
from support.fakestore import Node, Program
from support.terminal import Completed, Terminal


def archive(*names: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    return out.getvalue()


DOCKER = archive("abc/layer.tar", "manifest.json")
PUSHED = f"name the package that is in it; the image itself: nix2oci push {OUT} REF, or --base "


@pytest.mark.parametrize(
    ("node", "kind", "hint"),
    [
        pytest.param(
            DOCKER,
            "an image already (an archive)",
            f"{PUSHED}docker-archive:{OUT}",
            id="what buildImage makes, plain",
        ),
        pytest.param(
            gzip.compress(DOCKER),
            "an image already (an archive)",
            f"{PUSHED}docker-archive:{OUT}",
            id="what buildImage makes",
        ),
        pytest.param(
            {b"oci-layout": b"{}", b"index.json": b"{}", b"blobs": {}},
            "an image already (a layout)",
            f"{PUSHED}oci:{OUT}",
            id="an image layout",
        ),
        pytest.param(
            Program(b"#!/bin/bash\nexec /nix/store/x/bin/stream_layered_image conf.json\n"),
            "a script that writes an image",
            f"name the package that is in it; the image itself: {OUT} > image.tar, "
            "then nix2oci push image.tar REF",
            id="what streamLayeredImage makes",
        ),
        pytest.param(
            Program(b"#!/bin/sh\necho\n"),
            "a script, not a package with bin/",
            "writeShellScriptBin in place of writeShellScript makes a package of it",
            id="what writeShellScript makes",
        ),
        pytest.param(
            b"some text",
            "a file, not a package with bin/",
            "name a package that has the program in bin/",
            id="what writeText makes",
        ),
        pytest.param(
            archive("a.txt"),
            "a file, not a package with bin/",
            "name a package that has the program in bin/",
            id="an archive of files",
        ),
    ],
)
def test_what_is_no_package(node: Node, kind: str, hint: str, tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path, node)
    done = terminal.run("build", ".#app")
    assert (done.returncode, terminal.left()) == (2, [])
    assert last(done) == [f"error: cannot make an image of '.#app': it is {kind}", f"hint: {hint}"]


def test_a_package_without_programs_is_one(tmp_path: Path) -> None:
    done = Terminal.make(tmp_path, {b"share": {b"data": b"x"}}).run("build", ".#app")
    assert "cannot choose an entrypoint: app has no program" in done.stderr


def test_who_names_a_path_to_start_wants_the_file(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path, Program(b"#!/bin/sh\n"))
    assert "not a package" not in terminal.run("build", ".#app", "--entrypoint", OUT).stderr


@pytest.mark.parametrize(
    ("installable", "shell"),
    [
        pytest.param(".#app", True, id="as mkShell makes it"),
        pytest.param(".#devShells.x86_64-linux.default", False, id="by its place in the flake"),
        pytest.param(".#devShell.x86_64-linux", False, id="by its old place"),
    ],
)
def test_a_dev_shell_is_not_built(installable: str, tmp_path: Path, *, shell: bool) -> None:
    terminal = Terminal.make(tmp_path)
    terminal.fake.answer("flakes eval --json", value(shell=shell))
    terminal.fake.answer("build --json", stderr="error: built!", code=1)
    terminal.fake.nix()
    done = terminal.run("build", installable)
    assert done.returncode == 3
    assert last(done) == [
        f"error: cannot make an image of '{installable}': it is a dev shell",
        "hint: nix2oci makes images of packages and apps: name one of these",
    ]


def test_a_file_is_named_that_is_evaluated_as_a_whole(tmp_path: Path) -> None:
    terminal = Terminal.make(tmp_path)
    assert "nix2oci: evaluating default.nix\n" in terminal.run("plan", "-f", "default.nix").stderr


def last(done: Completed) -> list[str]:
    return done.stderr.splitlines()[-2:]
