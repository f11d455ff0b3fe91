"""The source of the site of `./dev docs`: the pages as they are, in the order of docs/README.md.

    python tests/support/site_source.py DIRECTORY

README.md becomes the first page of the site, docs/README.md that of docs/. A link to a file that is
no page leads to a copy of it, and one to a directory is only its text.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

Page = tuple[str, str]
"""What a list of pages calls one, and its path from the top of the repository."""

_TOP = Path(__file__).parents[2]
_INDEX = "docs/README.md"
# A page that only others link to is in no list.
_UNLISTED = "---\norphan: true\n---\n\n"
_BLOCK = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


def write_source(top: Path, to: Path) -> None:
    """Write what Sphinx reads of the repository at `top` into the directory `to`."""
    listed = {*top.glob("*.md"), *(top / "docs").glob("*.md")}
    linked = {target for page in listed for target in _linked_files(page, top)}
    for page in listed | {file for file in linked if file.suffix == ".md"}:
        text = _with_links(page.read_text(), page)
        if page == top / "README.md":
            text += _toctrees(groups((top / _INDEX).read_text()))
        elif page not in listed:
            text = _UNLISTED + text
        made = to / _place(page.relative_to(top))
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text(text)
    for file in linked:
        if file.suffix != ".md":
            copy = to / file.relative_to(top)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def groups(index: str) -> Mapping[str, Sequence[Page]]:
    """The pages that docs/README.md lists, by the heading that they are under."""
    found: dict[str, list[Page]] = {}
    for part in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        heading, _, rest = part.partition("\n")
        lines = [line for line in rest.splitlines() if line.startswith("- ")]
        links = [link for line in lines for link in _LINK.findall(line)]
        found[heading] = [
            (_title(text), _from_top(target)) for text, target in links if target.endswith(".md")
        ]
    return found


def _title(text: str) -> str:
    """A word in the middle of a line gets a capital letter, a name of a file does not."""
    plain = text.replace("`", "")
    return plain.capitalize() if plain.isalpha() else plain


def _from_top(link: str) -> str:
    return link.removeprefix("../") if link.startswith("../") else f"docs/{link}"


def _toctrees(pages: Mapping[str, Sequence[Page]]) -> str:
    """What gives the site its order; none of it is seen on the page itself."""
    trees = [_toctree("", [("All pages", _INDEX)])]
    trees += [_toctree(f":caption: {heading}\n", pages[heading]) for heading in pages]
    return "\n" + "\n".join(trees)


def _toctree(options: str, pages: Sequence[Page]) -> str:
    lines = [f"{title} </{_place(Path(path)).with_suffix('')}>" for title, path in pages]
    return f"```{{toctree}}\n:hidden:\n{options}\n" + "\n".join(lines) + "\n```\n"


def _place(page: Path) -> Path:
    return page.with_name("index.md") if page.name == "README.md" else page


def _with_links(text: str, page: Path) -> str:
    """The page with links that lead to where the site has things; code stays as it is."""

    def link(found: re.Match[str]) -> str:
        name, target = found.groups()
        path, hash_sign, anchor = target.partition("#")
        if "://" in target or not path:
            return found[0]
        if (page.parent / path).is_dir():
            return name
        return f"[{name}]({_place(Path(path))}{hash_sign}{anchor})"

    parts = _BLOCK.split(text)
    parts[::2] = [_LINK.sub(link, part) for part in parts[::2]]
    return "".join(parts)


def _linked_files(page: Path, top: Path) -> Iterator[Path]:
    """The files of the repository that a page links to or shows, pages among them."""
    for _, target in _LINK.findall(_BLOCK.sub("", page.read_text())):
        path = (page.parent / target.partition("#")[0]).resolve()
        if path.is_file() and path.is_relative_to(top):
            yield path


if __name__ == "__main__":
    write_source(_TOP, Path(sys.argv[1]))
