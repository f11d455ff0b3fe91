"""`verify` of images whose layers have other things than store paths as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.pushbuild import Shop
from support.terminal import Terminal
from support.wrapped_app import WRAPPED, give


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="a launcher over a wrapper"),
        pytest.param(("--max-layers=1",), id="the wrapper is nowhere"),
        pytest.param(("--shell=drop",), id="a shell that is left out"),
        pytest.param(("--nix-db", "--sbom-in-image"), id="more that lies in the last layer"),
    ],
)
def test_what_we_say_of_an_image_is_so(tmp_path: Path, options: tuple[str, ...]) -> None:
    terminal = Terminal.make(tmp_path)
    give(terminal, WRAPPED)
    flags = ("-o", "app.oci", "--attach=sbom,provenance")
    built = terminal.run("build", ".#app", *flags, *options)
    assert built.returncode == 0, built.stderr
    done = terminal.run("verify", "app.oci")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("holds") == 4


def test_store_paths_of_a_base_image_need_not_be_listed(shop: Shop) -> None:
    assert shop.build("-o", "base.oci", "--tag=base:1").returncode == 0
    shop.edit("another one")
    flags = ("-o", "app.oci", "--attach=sbom,provenance", "--base=base.oci:1")
    built = shop.build(*flags)
    assert built.returncode == 0, built.stderr
    done = shop.terminal.run("verify", "app.oci")
    assert done.returncode == 0, done.stdout
