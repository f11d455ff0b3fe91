"""Every picture of docs/pictures is what its script draws today; `./dev pictures` draws them again.

What the session and the plan are drawn of is recorded: that it is what a run gives is a test with
real tools, tests/real/test_recorded.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from support.paths import DOCS, ROOT, TESTS
from support.pictures import plan, rooms

pytestmark = pytest.mark.pages

SCRIPTS = sorted((TESTS / "support/pictures").glob("[!_]*.py"))
PICTURES = DOCS / "pictures"
SHOWN = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What all scripts draw, by name."""
    directory = tmp_path_factory.mktemp("pictures")
    env = {**os.environ, "PYTHONPATH": str(TESTS)}  # noqa: TID251
    for script in SCRIPTS:
        subprocess.run([sys.executable, script, directory], env=env, check=True)
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def test_no_picture_is_stale(drawn: dict[str, bytes]) -> None:
    there = {file.name: file.read_bytes() for file in PICTURES.iterdir()}
    stale = {name for name in there | drawn if there.get(name) != drawn.get(name)}
    assert stale == set(), "run ./dev pictures"


@cache
def shown() -> dict[Path, str]:
    """The pictures of all pages, with what is said of each."""
    return {
        (page.parent / target).resolve(): words
        for page in (*ROOT.glob("*.md"), *DOCS.glob("*.md"))
        for words, target in SHOWN.findall(page.read_text())
    }


def test_every_picture_is_shown_and_told_in_words() -> None:
    assert set(PICTURES.iterdir()) <= set(shown())
    assert [path.name for path, words in shown().items() if len(words.split()) < 5] == []


@pytest.mark.parametrize("file", sorted(PICTURES.glob("*.svg")), ids=lambda file: file.name)
def test_a_picture_loads_nothing_and_runs_nothing(file: Path) -> None:
    drawing = file.read_text()
    loads = re.findall(r'(?:href|src)="([^"#][^"]*)|url\(["\']?([^#"\')]+)', drawing)
    assert (loads, re.findall(r"<(?:script|image|foreignObject)|@import", drawing)) == ([], [])


def test_the_rooms_are_read_from_the_imports(tmp_path: Path) -> None:
    files = {
        "errors.py": "",
        "model/tree.py": "from nix2oci import errors\n",
        "oci/a.py": "def f():\n    from nix2oci.model import tree\n    import nix2oci.errors\n",
        "oci/b.py": "from nix2oci.oci.a import f\nfrom os import path\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    graph = rooms.imports(tmp_path, ["errors", "model", "oci"])
    errors, model = frozenset({"errors"}), frozenset({"model"})
    assert graph == {"errors": frozenset(), "model": errors, "oci": errors | model}
    assert rooms.reduced(graph) == {"errors": frozenset(), "model": errors, "oci": model}
    assert rooms.rows(graph) == [["errors"], ["model"], ["oci"]]


def layer(risk: float, size: int, *names: str) -> dict[str, object]:
    return {"paths": [f"/nix/store/{'0' * 32}-{n}" for n in names], "nar_size": size, "risk": risk}


def test_small_layers_share_a_line_and_the_application_has_its_own() -> None:
    layers = [
        layer(0.1, 500, "libc"),
        layer(0.1, 1, "a"),
        layer(0.2, 2, "b", "c"),
        layer(0.5, 500, "python"),
        layer(0.1, 1, "app"),
    ]
    root = f"/nix/store/{'0' * 32}-app"
    document = {"layers": layers, "nar_size": 1004, "roots": [root]}
    found = [(line.number, line.title, line.nar_size) for line in plan.lines(document)]
    assert found == [
        ("1", "libc", 500),
        ("2-3", "2 small layers", 3),
        ("4", "python", 500),
        ("5", "app", 1),
    ]
