"""What in the files of a closure speaks against leaving something out of its image."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.fakestore import FakeStore, Link, Node, Program, store_path
from support.tools import require

from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.slim_facts import against_rules
from nix2oci.nix.store_files import StoreFiles

APP, OTHER = store_path("app-1"), store_path("other-1")
DOCUMENT = f"{OTHER}/share/doc/other/index.html".encode()


def found(store: FakeStore, node: Node) -> dict[str, str]:
    store.add(APP.name, node)
    return dict(against_rules(StoreFiles.of(store.closure(APP), store.root)))


@pytest.fixture
def store(tmp_path: Path) -> FakeStore:
    return FakeStore(tmp_path)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        pytest.param(
            {b"bin": {b"app": Program(b"\x7fELF\0" + DOCUMENT + b"\0")}},
            {"docs": "app-1/bin/app names one"},
            id="a program has the path of a document",
        ),
        pytest.param(
            {b"help": Link(DOCUMENT)},
            {"docs": "app-1/help is a link to one"},
            id="a link leads to a document",
        ),
        pytest.param({b"share": {b"doc": {b"x": DOCUMENT}}}, {}, id="one document names another"),
        pytest.param(
            {b"bin": {b"app": Program(b"\x7fELF /usr/share/doc/app")}},
            {},
            id="a path that no image has",
        ),
        pytest.param(
            {b"bin": {b"app": Program(f"\x7fELF {OTHER}/share/docs/x".encode())}},
            {},
            id="another directory",
        ),
        pytest.param(
            {b"bin": {b"x86_64-unknown-linux-gnu-gcc-13.2": Program(b"\x7fELF")}},
            {"dev": "app-1/bin/x86_64-unknown-linux-gnu-gcc-13.2 is a compiler"},
            id="a compiler",
        ),
        pytest.param(
            {b"bin": {b"cc": Link(b"gcc")}}, {"dev": "app-1/bin/cc is a compiler"}, id="cc"
        ),
        pytest.param({b"bin": {b"gold": Program(b"\x7fELF")}}, {}, id="a name that is like one"),
        pytest.param(
            {b"lib": {b"app.py": b"import os\nif os:\n    import tkinter.ttk\n"}},
            {"python": "app-1/lib/app.py imports tkinter"},
            id="a module imports a part of Python",
        ),
        pytest.param(
            {b"lib": {b"app.py": b"from turtle import forward\n"}},
            {"python": "app-1/lib/app.py imports turtle"},
            id="a module that needs such a part",
        ),
        pytest.param(
            {b"lib": {b"python3.12": {b"util.py": b"from test import support\n"}}},
            {},
            id="Python's library for its own tests",
        ),
        pytest.param(
            {b"lib": {b"python3.12": {b"site-packages": {b"a.py": b"import idlelib\n"}}}},
            {"python": "app-1/lib/python3.12/site-packages/a.py imports idlelib"},
            id="a package beside Python's library",
        ),
        pytest.param({b"lib": {b"app.py": b"import testing\n"}}, {}, id="a longer name"),
        pytest.param(
            {b"lib": {b"python3.12": {b"idlelib": {b"a.py": b"import tkinter\n"}}}},
            {},
            id="what is left out itself",
        ),
        pytest.param({b"empty": b"", b"bin": {}}, {}, id="nothing"),
    ],
)
def test_what_speaks_against_a_rule(store: FakeStore, node: Node, expected: dict[str, str]) -> None:
    assert found(store, node) == expected


def test_a_program_that_converts_texts_speaks_against_leaving_out_conversions(
    store: FakeStore, tmp_path: Path
) -> None:
    require("cc")
    source = tmp_path / "a.c"
    source.write_text('#include <iconv.h>\nint main(void) { return iconv_open("a", "b") == 0; }')
    subprocess.run(["cc", "-o", tmp_path / "a", source], check=True)
    data = (tmp_path / "a").read_bytes()
    assert found(store, {b"bin": {b"a": Program(data)}}) == {
        "gconv": "app-1/bin/a imports iconv_open"
    }


def test_it_is_found_once_and_kept_with_the_store_path(store: FakeStore) -> None:
    class Kept(dict[str, dict[str, object]]):
        def read(self, name: str) -> dict[str, object] | None:
            return self.get(name)

        def write(self, name: str, document: dict[str, object]) -> None:
            self[name] = document

    info = store.add(APP.name, {b"bin": {b"cc": Program(b"\x7fELF")}})
    closure, kept = store.closure(APP), Kept()
    notes = FactCache(kept)
    first = against_rules(StoreFiles.of(closure, store.root, notes))
    notes.commit(lambda _: True)
    store.thaw(info)
    shutil.rmtree(store.physical(info.path))
    assert against_rules(StoreFiles.of(closure, store.root, FactCache(kept))) == first
    assert first == {"dev": "app-1/bin/cc is a compiler"}
