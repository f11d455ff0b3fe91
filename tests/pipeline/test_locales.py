"""Locales are shown as certificates are: a link of the root, a variable, and a switch."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bases import base
from support.fakestore import Node, Program
from support.several import flags_of, flake_of, image_of, listed, out_of
from support.smallimage import SmallImage, directory, entry

ARCHIVE: Node = {b"lib": {b"locale": {b"locale-archive": b"A"}}}
DIRECTORIES: Node = {b"lib": {b"locale": {b"de_DE": {b"LC_CTYPE": b""}}}}
HERE = "/usr/lib/locale/locale-archive"
BEHIND = f"{out_of('locales')}/lib/locale/locale-archive"
THEIRS = (*map(directory, ("usr", "usr/lib", "usr/lib/locale")), entry("usr/lib/locale/x", b""))


Shown = tuple[str | None, str | None]
"""What is at /usr/lib/locale, and LOCALE_ARCHIVE."""
LINK = f"-> {out_of('locales')}/lib/locale"


def shown(tmp_path: Path, locales: Node, settings: str, on: SmallImage | None = None) -> Shown:
    app: Node = {b"bin": {b"app": Program(b"\x7fELF")}}
    packages = {"app": app, "locales": locales}
    terminal = flake_of(tmp_path, packages, settings)
    flags = flags_of(packages)
    if on:
        on.write(terminal.directory / "base.oci")
        flags += ("--base", "base.oci:1.0")
    return listed(terminal, *flags).get("/usr/lib/locale"), image_of(terminal).variables.get(
        "LOCALE_ARCHIVE"
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param("", (LINK, HERE), id="an archive"),
        pytest.param("view: {locales: false}", (None, None), id="switched off"),
        pytest.param("env: {LOCALE_ARCHIVE: /x}", (LINK, "/x"), id="one's own variable"),
        pytest.param(
            "files: {/usr/lib/locale: {absent: true}}", (None, BEHIND), id="without the link"
        ),
    ],
)
def test_locales(tmp_path: Path, settings: str, expected: Shown) -> None:
    assert shown(tmp_path, ARCHIVE, settings) == expected


def test_directories_of_locales_have_no_variable(tmp_path: Path) -> None:
    assert shown(tmp_path, DIRECTORIES, "") == (LINK, None)


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        pytest.param(base(), (LINK, HERE), id="without locales"),
        pytest.param(base(*THEIRS), ("0755 0:0 dir", BEHIND), id="that keeps its own"),
    ],
)
def test_on_a_base_image(tmp_path: Path, on: SmallImage, expected: Shown) -> None:
    assert shown(tmp_path, ARCHIVE, "", on) == expected
