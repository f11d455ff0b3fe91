"""Wrappers and the shell: what was replaced, what was dropped, and what still names a shell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from nix2oci.report.page.document import (
    Call,
    Mention,
    Shell,
    SizedPath,
    Staying,
    Wrapper,
)
from nix2oci.report.page.labels import base, file, name, whole
from nix2oci.report.page.markup import Markup, element, figure, heading, joined, row, table
from nix2oci.text import count, size

_LONGEST = 200
_MANY = 40


def shell(document: Shell | None) -> Markup:
    """The section, of the `shell` of a plan; None where no file was read."""
    if document is None:
        return element("p", "Planned from a recorded closure: no file was read.")
    if document.mode == "keep":
        return element("p", "Nothing was looked at, as --shell keep asks.")
    parts = joined(_parts(document))
    return parts or element("p", "There is no wrapper script and no shell.")


def _parts(document: Shell) -> Iterator[Markup]:
    wrappers = document.wrappers
    yield from _replaced([each for each in wrappers if each.became])
    yield from _dropped(document)
    yield from _discounted(document)
    for each in document.staying:
        yield from _staying(each)
    yield from _broken(document.broken)
    yield from _droppable(document.droppable)
    yield from _calls(document.calls)
    yield from _left([each for each in wrappers if not each.became])


def _replaced(wrappers: Sequence[Wrapper]) -> Iterator[Markup]:
    if wrappers:
        yield element("h3", "Launchers")
        became = "became a static launcher" if len(wrappers) == 1 else "became static launchers"
        scripts = count(len(wrappers), "wrapper script")
        yield element("p", f"{scripts} {became}: the same is done, and no shell is needed.")
        rows = (row(file(each.file), file(each.target), _operations(each)) for each in wrappers)
        yield _folded(("Wrapper", "Starts", "Before that"), [*rows])


def _dropped(document: Shell) -> Iterator[Markup]:
    if document.dropped:
        yield element("h3", "Dropped")
        paths = count(len(document.dropped), "store path")
        yield element("p", f"{paths}, {size(document.saved)}, which nothing needs any more.")
        yield _store_paths(document.dropped)


def _discounted(document: Shell) -> Iterator[Markup]:
    if document.discounted:
        yield element("h3", "Names it and starts nothing")
        yield element("p", "Evidence is what was looked for and not found; it is not a proof.")
        rows = [
            row(
                file(each.file, each.line),
                f"{each.reason} ({each.rule})",
                "proof" if each.proof else "evidence",
                "hidden" if each.file in document.hidden else "",
            )
            for each in document.discounted
        ]
        yield _folded(("File", "Why", "How sure", "In the image"), rows)


def _calls_of(calls: Sequence[Call]) -> Markup:
    rows = [
        row(
            file(each.file, each.line),
            element("code", each.call),
            "" if each.certain else "not judged",
            each.feature,
        )
        for each in calls
    ]
    return _folded(("Module", "Call", "How sure", "What for"), rows)


def _staying(each: Staying) -> Iterator[Markup]:
    yield element("h3", f"{name(each.path)} stays")
    why = [each.wanted] if each.wanted else []
    why += [f"named in {count(len(each.files), 'place')}"] if each.files else []
    why += [f"called in {count(len(each.calls), 'place')} of Python"] if each.calls else []
    yield element("p", f"{size(each.nar_size)}; {'; '.join(why)}.")
    if each.calls:
        yield _calls_of(each.calls)
    if each.files:
        yield _mentions(each.files)


def _broken(files: Sequence[Mention]) -> Iterator[Markup]:
    if files:
        yield element("h3", "Broken without a shell")
        yield element("p", "Files that stay, and name a shell that was dropped nevertheless.")
        yield _mentions(files)


def _droppable(paths: Sequence[SizedPath]) -> Iterator[Markup]:
    if paths:
        yield element("h3", "Droppable")
        more = size(sum(path.nar_size for path in paths))
        yield element("p", f"--shell drop would leave out {more} more.")
        yield _store_paths(paths)


def _calls(calls: Mapping[str, Sequence[str]]) -> Iterator[Markup]:
    if calls:
        yield element("h3", "Calls of a shell")
        yield element("p", "What these import starts /bin/sh; an image has one with --view sh.")
        rows = [row(file(path), ", ".join(names)) for path, names in calls.items()]
        yield _folded(("Program", "Functions"), rows)


def _left(wrappers: Sequence[Wrapper]) -> Iterator[Markup]:
    if wrappers:
        yield element("h3", "Scripts and wrappers that stay")
        yield element("p", f"{count(len(wrappers), 'file')}, each with the reason.")
        yield _folded(("File", "Why"), [row(file(each.file), _why(each)) for each in wrappers])


def _why(wrapper: Wrapper) -> Markup:
    refusal, obstacle = wrapper.refusal, wrapper.obstacle
    if not refusal:
        return joined([obstacle or "a wrapper binary, which needs no shell"])
    parts = [refusal.detail]
    if refusal.path != wrapper.file or refusal.line:
        parts += [": ", file(refusal.path, refusal.line)]
    if refusal.text:
        parts += [" ", _line(refusal.text)]
    return joined(parts)


def _operations(wrapper: Wrapper) -> Markup:
    """What a wrapper does before it starts its target."""
    lines = [
        element("li", element("code", " ".join([operation, *map(_cut, operands)])))
        for operation, *operands in wrapper.operations
    ]
    if not lines:
        return Markup()
    unfolded = element("ul", *lines)
    return element("details", element("summary", count(len(lines), "operation")), unfolded)


def _mentions(files: Sequence[Mention]) -> Markup:
    rows = [
        row(
            file(each.file, each.line),
            each.kind,
            _line(each.text) if each.text else "",
            each.loss or "",
        )
        for each in files
    ]
    return _folded(("File", "How", "Line", "Without the shell there is no"), rows)


def _store_paths(paths: Iterable[SizedPath]) -> Markup:
    ordered = sorted(paths, key=lambda path: (-path.nar_size, base(path.path)))
    rows = [row(element("code", whole(path.path)), figure(size(path.nar_size))) for path in ordered]
    return _folded(("Store path", heading("Size")), rows)


def _folded(headings: Iterable[str], rows: Sequence[Markup]) -> Markup:
    """A table, folded where it is long."""
    body = table(headings, rows)
    if len(rows) <= _MANY:
        return body
    return element("details", element("summary", f"Show all {len(rows)}"), body)


def _line(text: str) -> Markup:
    return element("code", _cut(text.strip()))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
