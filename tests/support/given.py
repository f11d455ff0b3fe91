"""A closure of an app and its library, and the files that say so: one in every form."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.fakenix import OUT
from support.fakestore import nar, sri, store_path
from support.terminal import APP, Terminal

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


def given_terminal(scratch: Path) -> Terminal:
    """A terminal whose store has the app and its library, which its Nix knows, too."""
    made = Terminal.make(scratch)
    made.fake.place(LIBRARY).write_bytes(LIBRARY_FILE)
    made.fake.answer("path-info", json.dumps(infos()))
    made.fake.rules.insert(0, made.fake.rules.pop())
    made.fake.answer(f"root -- {OUT}", json.dumps([OUT]))
    made.fake.nix()
    return made


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
