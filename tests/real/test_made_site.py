"""The site that `./dev docs` makes, by the generator itself and in a browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from real.browser import Browser
from support.paths import DOCS, ROOT
from support.plans import read
from support.site_check import findings
from support.site_source import write_source
from support.tools import do_without, require

pytestmark = pytest.mark.slow

GENERATOR = ROOT / ".cache/docs/venv/bin/sphinx-build"

WIDTHS = """\
<!DOCTYPE html><meta charset="utf-8"><title>a page that measures others</title>
<iframe width="400" height="800" style="border: 0"></iframe><pre id="answer"></pre>
<script>
const pages = PAGES, wide = [], frame = document.querySelector("iframe");
const next = () => {
  if (pages.length) frame.src = pages[0];
  else document.querySelector("#answer").textContent = JSON.stringify(wide);
};
frame.onload = () => {
  if (!pages.length || frame.contentDocument.URL === "about:blank") return;
  const root = frame.contentDocument.documentElement;
  if (root.scrollWidth > 400) wide.push(`${pages[0]}: ${root.scrollWidth}`);
  pages.shift();
  next();
};
next();
</script>
"""


def make(source: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """What `./dev docs` does with its source."""
    if not GENERATOR.exists():
        do_without("no generator of the site, which ./dev docs installs")
    argv: list[str | Path] = [GENERATOR, "-q", "--fail-on-warning"]
    argv += ["-c", DOCS / "site", source, site]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("docs")
    write_source(ROOT, top / "source")
    done = make(top / "source", top / "site")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return top / "site"


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    require("chromium")
    return Browser(tmp_path)


def test_every_link_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    assert findings(site) == []


def test_a_second_build_gives_the_same_bytes(site: Path, tmp_path: Path) -> None:
    write_source(ROOT, tmp_path / "source")
    make(tmp_path / "source", tmp_path / "again")
    files = [path for path in site.rglob("*") if path.is_file() and ".doctrees" not in path.parts]
    other = [
        p
        for p in files
        if p.read_bytes() != (tmp_path / "again" / p.relative_to(site)).read_bytes()
    ]
    assert (other, len(files) > 50) == ([], True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gone](gone.md)", "cross-reference target not found: 'gone.md'"),
        ("[gone](../README.md#gone)", "'gone'"),
        ("![gone](gone.svg)", "image file not readable: docs/gone.svg"),
    ],
    ids=["a page", "an anchor", "a picture"],
)
def test_what_is_not_there_fails(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "top/docs").mkdir(parents=True)
    (tmp_path / "top/README.md").write_text("# it\n\n[all](docs/README.md)\n")
    (tmp_path / "top/docs/README.md").write_text("# All\n\n## Start\n\n- [A](a.md)\n")
    (tmp_path / "top/docs/a.md").write_text(f"# A\n\n{text}\n")
    write_source(tmp_path / "top", tmp_path / "source")
    done = make(tmp_path / "source", tmp_path / "site")
    assert done.returncode == 1
    assert said in done.stderr
    assert len([line for line in done.stderr.splitlines() if "WARNING" in line]) == 1


def test_a_page_that_no_list_has_fails(tmp_path: Path) -> None:
    (tmp_path / "top/docs").mkdir(parents=True)
    (tmp_path / "top/README.md").write_text("# it\n")
    (tmp_path / "top/docs/README.md").write_text("# All\n")
    (tmp_path / "top/docs/new.md").write_text("# New\n")
    write_source(tmp_path / "top", tmp_path / "source")
    done = make(tmp_path / "source", tmp_path / "site")
    assert done.returncode == 1
    assert "docs/new.md: WARNING: document isn't included in any toctree" in done.stderr


def test_pages_are_no_wider_than_a_telephone(site: Path, browser: Browser) -> None:
    pages = [str(path.relative_to(site)) for path in sorted(site.rglob("*.html"))]
    (site / "widths.html").write_text(WIDTHS.replace("PAGES", json.dumps(pages)))
    seen = browser.see(site / "widths.html")
    os.unlink(site / "widths.html")
    assert json.loads(read(seen.dom).named("answer").text) == []


def test_the_search_finds_a_page_and_asks_nobody(site: Path, browser: Browser) -> None:
    seen = browser.see(site / "search.html", "?q=registries")
    results = read(seen.dom).named("search-results")
    found = [link.attributes["href"] for link in results.nodes("a")]
    assert any(str(link).startswith("docs/registries.html") for link in found)
    assert not [address for address in seen.requests if not address.startswith("file:")]


COLOUR = re.compile(r"^(.*?)\.highlight \.(\w+) \{[^}]*?(?<!-)color: (#\w+)", re.MULTILINE)


def test_code_can_be_read_in_light_and_dark(site: Path) -> None:
    """Contrast of at least 4.5, as WCAG 2.2 wants of text (1.4.3), but for what is no ink."""
    sheets = [(site / "_static" / name).read_text() for name in ("pygments.css", "site.css")]
    grounds = re.findall(r"\.highlight \{ background: (#\w+)", sheets[0])
    found = COLOUR.findall("\n".join(sheets))
    pale = [
        (where, kind, colour)
        for where, kind, colour in found
        if kind != "w" and contrast(colour, grounds["body" in where]) < 4.5
    ]
    assert (pale, len(found) > 100) == ([], True)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, `#rgb` or `#rrggbb` (WCAG 2.2)."""
    darker, brighter = sorted(map(luminance, (one, other)))
    return (brighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [part / 255 for part in bytes.fromhex(digits)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_page_is_as_dark_as_the_reader_wants(site: Path, browser: Browser, *, dark: bool) -> None:
    picture = browser.picture(site / "docs/layering.html", (1000, 800), dark=dark)
    assert (picture.brightness < 128) == dark
