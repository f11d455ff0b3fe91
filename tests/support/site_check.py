"""What is wrong with a site: links that lead nowhere, and what pages load from elsewhere.

python tests/support/site_check.py DIRECTORY
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# The attributes by which a browser fetches something at once, by element.
_LOADS = {"src", "srcset", "poster", "data", "background"}
_LINKS_THAT_LOAD_NOTHING = {"alternate", "author", "canonical", "help", "index", "license"}
_LINKS_THAT_LOAD_NOTHING |= {"next", "prev", "search"}
# In a style sheet.
_STYLE_LOADS = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s]+)""")


class _Page(HTMLParser):
    """The anchors of a page, where it leads, and what it loads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        if self.lasttag == "style":
            self.loads += _STYLE_LOADS.findall(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.loads += _STYLE_LOADS.findall(given.get("style", ""))
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        for name in _LOADS & set(given):
            found = given[name].split(",") if name == "srcset" else [given[name]]
            self.loads += [each.split()[0] for each in found if each.strip()]
        if "href" not in given:
            return
        kinds = set(given.get("rel", "").split())
        is_load = tag in {"image", "use"} or (tag == "link" and kinds - _LINKS_THAT_LOAD_NOTHING)
        (self.loads if is_load else self.links).append(given["href"])


def findings(site: Path) -> list[str]:
    """A line for each thing that is wrong, with the page; none where all is well."""
    pages = {path: _Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"{site}: no pages"]
    for path, page in pages.items():
        name = path.relative_to(site)
        found += [f"{name}: {text}" for text in _of_page(path, page, pages)]
    for path in sorted(site.rglob("*.css")):
        foreign = _STYLE_LOADS.findall(path.read_text())
        found += [f"{path.relative_to(site)}: loads {address}" for address in foreign]
    for path in sorted(site.rglob("*.svg")):
        foreign = [each for each in _Page(path.read_text()).loads if not _is_here(each)]
        found += [f"{path.relative_to(site)}: loads {address}" for address in foreign]
    return found


def _of_page(path: Path, page: _Page, pages: Mapping[Path, _Page]) -> Iterator[str]:
    for address in page.loads:
        if not _is_here(address):
            yield f"loads {address}"
        elif not _target(path, address).is_file():
            yield f"loads {address}, which is not there"
    for link in page.links:
        if not _is_here(link):
            continue
        target, anchor = _target(path, link), unquote(urlsplit(link).fragment)
        if not target.is_file():
            yield f"leads to {link}, which is not there"
        elif anchor and target in pages and anchor not in pages[target].anchors:
            yield f"leads to {link}, and there is no such anchor"


def _is_here(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme in {"", "data"} and not parts.netloc


def _target(path: Path, address: str) -> Path:
    """The file that an address on a page means; the page itself for what is within it."""
    parts = urlsplit(address)
    if parts.scheme == "data" or not parts.path:
        return path
    return Path(path.parent, unquote(parts.path)).resolve()


if __name__ == "__main__":
    wrong = findings(Path(sys.argv[1]).resolve())
    sys.exit("\n".join(f"error: {line}" for line in wrong) if wrong else 0)
