"""What `./dev docs` reads and what it refuses, without the generator that is between them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.paths import DOCS, ROOT
from support.site_check import findings
from support.site_source import groups, write_source

pytestmark = pytest.mark.pages


def write(top: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    return top


def source(tmp_path: Path, **files: str) -> Path:
    """The source of a site of a README, a list of pages with these, and some other files."""
    pages = {f"docs/{name}.md": text for name, text in files.items()}
    names = {"configuration": "nix2oci.yaml"}
    listed = "".join(f"- [{names.get(name, name)}]({name}.md): text\n" for name in files)
    write(
        tmp_path / "top",
        {
            "README.md": "# it\n\n[all](docs/README.md)\n",
            "CHANGELOG.md": "# Changes\n",
            "LICENSE": "MIT",
            "docs/README.md": f"# All\n\n## Start\n\n{listed}\n## Develop\n\n"
            "- [Contributing](../CONTRIBUTING.md), [changes](../CHANGELOG.md)\n",
            "docs/plan.svg": "<svg/>",
            "flakes/README.md": "# Samples\n",
            "flakes/web/flake.nix": "{ }",
            **pages,
        },
    )
    write_source(tmp_path / "top", tmp_path / "source")
    return tmp_path / "source"


def test_the_site_has_the_groups_of_the_list_of_pages() -> None:
    index = (DOCS / "README.md").read_text()
    found = groups(index)
    assert list(found) == re.findall(r"^## (.*)$", index, re.MULTILINE)
    paths = [path for pages in found.values() for _, path in pages]
    there = [*DOCS.glob("*.md"), *ROOT.glob("*.md")]
    wanted = {str(path.relative_to(ROOT)) for path in there if path.name != "README.md"}
    assert (set(paths), len(paths)) == (wanted, len(set(paths)))


def test_a_page_is_in_the_menu_by_what_the_list_calls_it(tmp_path: Path) -> None:
    pages = {"configuration": "# Settings\n"}
    menu = (source(tmp_path, **pages) / "index.md").read_text()
    assert ":caption: Start\n\nnix2oci.yaml </docs/configuration>\n" in menu
    assert ":caption: Develop\n\nContributing </CONTRIBUTING>\nChanges </CHANGELOG>\n" in menu


@pytest.mark.parametrize(
    ("written", "made"),
    [
        pytest.param("[all](README.md#start)", "[all](index.md#start)", id="the list of pages"),
        pytest.param("[it](../README.md)", "[it](../index.md)", id="the README"),
        pytest.param("[web](../flakes/web)", "web", id="a directory is only its text"),
        pytest.param("[a](../flakes/README.md)", "[a](../flakes/index.md)", id="another page"),
        pytest.param("[l](../LICENSE)", "[l](../LICENSE)", id="a file is copied"),
        pytest.param("![plan](plan.svg)", "![plan](plan.svg)", id="a picture is copied"),
        pytest.param("[a](#b), [c](https://d.example/README.md)", None, id="here and elsewhere"),
        pytest.param("```md\n[it](../README.md)\n```", None, id="code stays as it is"),
        pytest.param("[gone](gone.md)", None, id="what is not there is left to the generator"),
    ],
)
def test_a_link_of_a_page(tmp_path: Path, written: str, made: str | None) -> None:
    here = source(tmp_path, page=f"# A page\n\n{written}\n")
    text = (here / "docs/page.md").read_text()
    assert text == f"# A page\n\n{written if made is None else made}\n"
    found = re.findall(r"\]\(([^)#]+)", "" if made is None else made)
    assert [target for target in found if not (here / "docs" / target).is_file()] == []


def test_a_page_that_only_others_link_to_is_in_no_menu(tmp_path: Path) -> None:
    here = source(tmp_path, page="# A page\n\n[samples](../flakes/README.md)\n")
    assert (here / "flakes/index.md").read_text() == "---\norphan: true\n---\n\n# Samples\n"


WRONG = {
    "a script from elsewhere": ('<script src="https://cdn.example/x.js">', "loads {}cdn.example"),
    "an address without a scheme": ('<script src="//cdn.example/x.js">', "loads //cdn.example"),
    "a style sheet": ('<link rel="stylesheet" href="https://a.example/s.css">', "loads {}a"),
    "a font": ('<link rel="preload" as="font" href="https://a.example/f">', "loads {}a"),
    "a connection ahead": ('<link rel="preconnect" href="https://a.example">', "loads {}a"),
    "an icon": ('<link rel="icon" href="https://a.example/i.png">', "loads {}a"),
    "a picture": ('<img src="https://a.example/i.png" alt="">', "loads {}a"),
    "one of several": ('<img srcset="a.png 1x, https://a.example/b 2x">', "loads {}a"),
    "a frame": ('<iframe src="https://a.example/"></iframe>', "loads {}a"),
    "a style": ("<style>@import 'https://a.example/s.css';</style>", "loads {}a"),
    "a background": ('<p style="background: url(https://a.example/i)">', "loads {}a"),
    "a picture that is not there": ('<img src="no.png">', "loads no.png, which is not there"),
    "a link to no page": ('<a href="no.html">', "leads to no.html, which is not there"),
    "an anchor of no page": ('<a href="#no">', "leads to #no, and there is no such anchor"),
    "one of another page": ('<a href="b.html#no">', "leads to b.html#no, and there is no"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_site_is_refused_with(name: str, tmp_path: Path) -> None:
    html, said = WRONG[name]
    site = write(tmp_path, {"a.html": html, "b.html": '<h1 id="top">B</h1>', "a.png": ""})
    (found, *others) = findings(site)
    assert found.startswith(f"a.html: {said.format('https://')}")
    assert others == []


def test_a_site_is_refused_with_a_style_sheet_that_loads(tmp_path: Path) -> None:
    sheet = '@font-face { src: url("https://a.example/f.woff2") }'
    site = write(tmp_path, {"a.html": "", "static/s.css": sheet})
    assert findings(site) == ["static/s.css: loads https://a.example/f.woff2"]


@pytest.mark.parametrize(
    "drawn",
    [
        "<style>@font-face { src: url(https://a.example/f.woff2) }</style>",
        '<image href="https://a.example/f.woff2"/>',
        '<rect style="fill: url(https://a.example/f.woff2)"/>',
    ],
    ids=["a font", "a picture", "a pattern"],
)
def test_a_site_is_refused_with_a_picture_that_loads(tmp_path: Path, drawn: str) -> None:
    files = {
        "a.html": '<img src="p.svg">',
        "p.svg": f'<svg xmlns="http://w3.example">{drawn}</svg>',
    }
    assert findings(write(tmp_path, files)) == ["p.svg: loads https://a.example/f.woff2"]


def test_a_site_without_pages_is_refused(tmp_path: Path) -> None:
    assert findings(tmp_path) == [f"{tmp_path}: no pages"]


def test_a_site_may_lead_elsewhere_and_load_its_own(tmp_path: Path) -> None:
    html = """<link rel="next" href="b.html"><link rel="stylesheet" href="s.css?v=1">
      <a href="https://a.example/x#y"><a href="b.html#top"><a href="mailto:a@b.example">
      <img src="data:image/png;base64,AA"><a href="plan%20a.json">"""
    files = {"a.html": html, "b.html": '<h1 id="top">B</h1>', "plan a.json": "{}"}
    css = "p { background: url(data:image/svg+xml;charset=utf-8,<svg xmlns='http://w3.example'/>) }"
    assert findings(write(tmp_path, {**files, "s.css": css})) == []


def test_the_lock_of_the_generator_has_what_is_asked_for_by_hashes() -> None:
    lock = (ROOT / "requirements-docs.txt").read_text()
    entries = re.findall(r"^(\S+)==(\S+).*\n((?: +.*\n)+)", lock, re.MULTILINE)
    assert [name for name, _, hashes in entries if "--hash=sha256:" not in hashes] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for wanted in map(Requirement, project["dependency-groups"]["docs"]):
        versions = [version for name, version, _ in entries if name == wanted.name]
        assert versions
        assert all(version in wanted.specifier for version in versions)
    assert "://" not in lock
