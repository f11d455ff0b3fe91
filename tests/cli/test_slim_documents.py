"""What is said beside a slim image: its bill of materials, and whether that verifies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.fakenix import OUT
from support.fakestore import Node, Program
from support.terminal import Terminal

METADATA = b"Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n"
SITE: Node = {b"kept-1.0.dist-info": {b"METADATA": METADATA % b"kept"}}
APP: dict[bytes, Node] = {
    b"bin": {b"app": Program(b"\x7fELF a program")},
    b"include": {b"app.h": b"int app;\n"},
    b"lib": {b"python3.12": {b"site-packages": SITE}},
    b"share": {b"doc": {b"gone-1.0.dist-info": {b"METADATA": METADATA % b"gone"}}},
}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path, APP)


def run(terminal: Terminal, *args: str) -> str:
    done = terminal.run(*args)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("rules", "names", "slim"),
    [
        ("none", {"kept", "gone"}, []),
        ("docs,dev", {"kept"}, ["docs.1 dev.1"]),
        ("duplicates", {"kept", "gone"}, []),
    ],
)
def test_a_bill_lists_what_is_left_and_names_the_rules(
    terminal: Terminal, rules: str, names: set[str], slim: list[str]
) -> None:
    run(terminal, "build", ".#app", "--slim", rules, "-o", "x", "--sbom-dir", "sbom")
    (file,) = (terminal.directory / "sbom").glob("*.cdx.json")
    components = json.loads(file.read_text())["components"]
    packages = {each["name"] for each in components if each["purl"].startswith("pkg:pypi/")}
    assert packages == names
    (app,) = (each for each in components if each["bom-ref"] == OUT)
    assert [p["value"] for p in app["properties"] if p["name"] == "nix:slim"] == slim


def test_no_nar_hash_is_made_up_of_what_is_left(terminal: Terminal) -> None:
    run(terminal, "build", ".#app", "--slim", "1", "-o", "x")
    components = json.loads(run(terminal, "sbom", "x"))["components"]
    (app,) = (each for each in components if each["bom-ref"] == OUT)
    assert not [p for p in app["properties"] if p["name"] == "nix:nar_hash"]


@pytest.mark.parametrize("more", [(), ("--max-layers", "1")], ids=["several layers", "one layer"])
def test_what_is_attached_to_a_slim_image_verifies(
    terminal: Terminal, more: tuple[str, ...]
) -> None:
    attached = ("--attach", "sbom,provenance", "--slim", "1", "-o", "x")
    run(terminal, "build", ".#app", *attached, *more)
    said = json.loads(run(terminal, "verify", "x", "--json"))
    assert said["attached"], said
    assert all(each["verdict"] != "differs" for each in said["attached"]), said
