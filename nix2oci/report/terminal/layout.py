"""Lines and tables within the columns of a terminal; where there is none, each as long as it is.

What is too long is broken at spaces, then behind slashes. A word that is longer than a line is
broken anywhere, since who copies it needs all of it; in a table it is cut, and ends with `…`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from nix2oci.report.terminal.styled import Line, Span, Table, Text
from nix2oci.text import printable

_NARROWEST = 40
"""Columns: a terminal that says it has fewer is treated as if it had these."""
_LEAST = 8
"""Characters that a column of a table keeps."""
_GAP = "  "
_UNITS = frozenset({"B", "kB", "MB", "GB"})


def lay_out(text: Text, width: int | None = None) -> Iterator[Line]:
    """The lines of a text, every character printable, none longer than `width`."""
    width = None if width is None else max(width, _NARROWEST)
    for part in text:
        if isinstance(part, Table):
            yield from _table(part, width)
            continue
        line = (Span(part),) if isinstance(part, str) else part
        texts = [span.short or span.text if width else span.text for span in line]
        shown = (Span(printable(text), s.style) for text, s in zip(texts, line, strict=True))
        yield from _wrapped(tuple(shown), width)


def plain(text: Text) -> str:
    """The same without styles and width, as a file gets it."""
    return "\n".join("".join(span.text for span in line) for line in lay_out(text))


def _wrapped(line: Line, width: int | None) -> Iterator[Line]:
    """A line, or several: all but the first are indented more."""
    whole = "".join(span.text for span in line)
    if width is None or len(whole) <= width:
        yield line
        return
    lead = len(whole) - len(whole.lstrip())
    if lead > width // 2:  # what is deep has to fit as well
        line = tuple(_slice(line, lead - width // 2, len(whole)))
        whole, lead = whole[lead - width // 2 :], width // 2
    indent = " " * min(lead + 4, width // 2)
    at = 0
    for number, piece in enumerate(_broken(whole, width, len(indent))):
        before = (Span(indent),) if number else ()
        yield before + tuple(_slice(line, at, at + len(piece.rstrip())))
        at += len(piece)


def _slice(line: Line, start: int, end: int) -> Iterator[Span]:
    at = 0
    for span in line:
        if part := span.text[max(0, start - at) : max(0, end - at)]:
            yield Span(part, span.style)
        at += len(span.text)


def _broken(text: str, width: int, indent: int) -> list[str]:
    """Pieces that are the text when joined; the first is as wide, the others less by an indent."""
    pieces = [""]
    for word in re.findall(r"\s*\S+\s*", text):
        room = width - (indent if len(pieces) > 1 else 0)
        if len(pieces[-1]) + len(word.rstrip()) <= room:
            pieces[-1] += word
        elif len(word.rstrip()) <= width - indent and pieces[-1].strip():
            pieces.append(word)
        else:
            _add_long(pieces, word, width, indent)
    return pieces


def _add_long(pieces: list[str], word: str, width: int, indent: int) -> None:
    """Add a word that is longer than a line: behind slashes, else anywhere."""
    for part in re.findall(r"[^/]*/|[^/]+", word):
        rest = part
        room = width - (indent if len(pieces) > 1 else 0) - len(pieces[-1])
        if len(rest.rstrip()) > room and pieces[-1].strip():
            pieces.append("")
            room = width - indent
        while len(rest.rstrip()) > room:
            pieces[-1] += rest[:room]
            rest = rest[room:]
            pieces.append("")
            room = width - indent
        pieces[-1] += rest


# --- tables --------------------------------------------------------------------------------------


def _table(found: Table, width: int | None) -> Iterator[Line]:
    """Columns two spaces apart; a column of numbers and sizes is right-aligned."""
    headings = [Span(text, "bold") for text in found.headings]
    rows = [[_cell(value) for value in row] for row in (headings, *found.rows)]
    columns = [[cell.text for cell in column] for column in zip(*rows, strict=True)]
    right = [all(map(_is_quantity, column[1:])) for column in columns]
    widths = _fitted([max(map(len, column)) for column in columns], right, width)
    for row in rows:
        cells = [_in_column(cell.text, room) for cell, room in zip(row, widths, strict=True)]
        for number in range(max(map(len, cells))):
            texts = [cell[number] if number < len(cell) else "" for cell in cells]
            spans: list[Span] = []
            for text, cell, room, is_right in zip(texts, row, widths, right, strict=True):
                padding = Span(" " * (room - len(text)))
                styled = Span(text, cell.style)
                spans += [*((padding, styled) if is_right else (styled, padding)), Span(_GAP)]
            yield _trimmed(spans)


def _cell(value: object) -> Span:
    if isinstance(value, Span):
        return replace(value, text=printable(value.text))
    return Span(printable(str(value)))


def _fitted(widths: list[int], fixed: Sequence[bool], width: int | None) -> list[int]:
    """The widths of columns where the widest of text give up what is too much."""
    if width is None:
        return widths
    widths = list(widths)
    too_much = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    while too_much > 0:
        open_ = [i for i, is_fixed in enumerate(fixed) if not is_fixed and widths[i] > _LEAST]
        if not open_:
            break
        widest = max(open_, key=lambda i: (widths[i], i))
        widths[widest] -= 1
        too_much -= 1
    return widths


def _in_column(text: str, room: int) -> list[str]:
    """A cell as lines that fit."""
    if len(text) <= room:
        return [text]
    lines = [""]
    for part in re.findall(r"\s*\S+", text):
        if len(lines[-1]) + len(part) > room and lines[-1]:
            lines.append("")
        word = part if lines[-1] else part.lstrip()
        while len(word) > room and "/" in word[:room]:
            cut = word.rindex("/", 0, room) + 1
            lines[-1] += word[:cut]
            word = word[cut:]
            lines.append("")
        lines[-1] += word if len(word) <= room else word[: room - 1] + "…"
    return lines


def _trimmed(spans: Iterable[Span]) -> Line:
    kept = [span for span in spans if span.text]
    while kept and not kept[-1].text.strip():
        kept.pop()
    if kept:
        kept[-1] = replace(kept[-1], text=kept[-1].text.rstrip())
    return tuple(kept)


def _is_quantity(text: str) -> bool:
    is_number = text.lstrip("+-")[:1].isdigit()
    return is_number and text.rsplit(" ", maxsplit=1)[-1] in {text, *_UNITS}
