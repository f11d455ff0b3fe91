"""HTML that is escaped by construction: text becomes markup in one place alone."""

from __future__ import annotations

import html
from collections.abc import Iterable

from nix2oci.text import printable


class Markup(str):
    """Text that is HTML already; `element` and `joined` alone make it."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | bool | None) -> Markup:
    """An element. Children that are no `Markup` are text, and escaped; so is every attribute.

    `class_` is the attribute class, `data_x` is data-x. An attribute that is None or False is left
    out, one that is True has no value.
    """
    start = [tag]
    for name, value in attributes.items():
        spelling = name.rstrip("_").replace("_", "-")
        if isinstance(value, str):
            start.append(f'{spelling}="{_text(value)}"')
        elif value:
            start.append(spelling)
    return Markup(f"<{' '.join(start)}>{joined(children)}</{tag}>")


def joined(parts: Iterable[str], separator: str = "") -> Markup:
    """One after the other, each escaped that is no `Markup`."""
    return Markup(_text(separator).join(map(_text, parts)))


def table(headings: Iterable[str], rows: Iterable[Markup], **attributes: str) -> Markup:
    """A table that scrolls by itself where the window is too narrow for it.

    A heading is text, or made by `heading`.
    """
    head = element("tr", *(_cell(each, "th", scope="col") for each in headings))
    body = element("tbody", *(joined(["\n", row]) for row in rows))
    whole = element("table", element("thead", head), body, **attributes)
    return element("div", whole, class_="scroll")


def row(*cells: str, **attributes: str | None) -> Markup:
    """A row of a table; a cell is text, markup within one, or an element td or th."""
    return element("tr", *(_cell(each, "td") for each in cells), **attributes)


def heading(text: str, kind: str = "") -> Markup:
    """The heading of a column of figures, of a further class `kind`."""
    return element("th", text, scope="col", class_=f"number {kind}".rstrip())


def figure(text: str, kind: str = "") -> Markup:
    """A cell with a figure, under such a heading."""
    return element("td", text, class_=f"number {kind}".rstrip())


def _cell(content: str, tag: str, **attributes: str) -> Markup:
    if isinstance(content, Markup) and content.startswith(("<td", "<th")):
        return content
    return element(tag, content, **attributes)


def _text(text: str) -> str:
    """Escaped, and control characters and halves of a pair as Python writes them: HTML has none."""
    if isinstance(text, Markup):
        return text
    return html.escape(printable(text, keep="\n"))
