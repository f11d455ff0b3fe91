"""What people ask first: what the image starts, how large it is, and what a change of it costs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from nix2oci.report.page.document import Change, Plan
from nix2oci.report.page.labels import name, number
from nix2oci.report.page.markup import Markup, element, figure, heading, joined, row, table
from nix2oci.text import size


def starts(document: Plan) -> Markup:
    """What it starts, as a line; nothing where that is not known."""
    if document.starts is None:
        return joined([])
    if not document.starts:
        return element("p", "Starts nothing: it is an image of data.", class_="starts")
    words = " ".join(map(_word, document.starts))
    return element("p", "Starts ", element("code", words), class_="starts")


def _word(word: str) -> str:
    """A word of a command line, in quotes where it would not be one."""
    return word if word and not set(word) & set(" \t\n\"'\\$") else json.dumps(word)


def sizes(document: Plan) -> Iterator[Markup]:
    """How large it is, as figures below the heading."""
    if document.compressed is not None:
        packed = sum(document.compressed.values()) + document.base_size
        based = ", base image included" if document.base_size else ""
        yield fact(f"≈ {size(packed)}", f"to pull, compressed{based}")
    yield fact(size(document.nar_size), "in the store, uncompressed")


def fact(value: str, what: str) -> Markup:
    return element("li", element("b", value), " ", what)


def changes(document: Plan) -> Markup:
    """What an edit of the application and another version of each large path push."""
    rows = [*_rows(document)]
    if not rows:
        return joined([])
    return element(
        "section",
        element("h2", "What a change pushes", id="changes-heading"),
        element("p", _explanation(document)),
        table([heading("To push"), "Changed", "Layers", heading("Paths")], rows, id="changes"),
        aria_labelledby="changes-heading",
    )


def _explanation(document: Plan) -> str:
    known = document.compressed is not None
    kind = "Sizes are estimates of compressed layers" if known else "Sizes are uncompressed"
    return (
        "Another version of a store path changes all that refers to it, and layers are pushed as a "
        "whole: so much for an edit of the application, and for each large path. "
        f"{kind}; the small last layer, with /bin and /etc, comes on top."
    )


def _rows(document: Plan) -> Iterator[Markup]:
    if document.edit:
        about = element("small", name(document.edit.path))
        yield _row(
            document.edit, [element("b", "an edit of the application"), " ", about], document
        )
    for each in document.bumps:
        about = element("small", size(document.sizes[each.path]))
        yield _row(each, [name(each.path), " ", about], document)


def _row(change: Change, what: Sequence[str], document: Plan) -> Markup:
    pushed = sum(cost(document, at) for at in change.layers)
    return row(
        figure(size(pushed)),
        element("td", *what),
        element("td", _layers(change.layers, len(document.layers))),
        figure(number(change.paths)),
    )


def _layers(numbers: Sequence[int], total: int) -> Markup:
    """The layers; how many where they are many."""
    return links(numbers) if len(numbers) <= 4 else joined([f"{len(numbers)} of {total}"])


def links(numbers: Sequence[int]) -> Markup:
    """Layers, each leading to its row."""
    return joined([element("a", str(each), href=f"#layer-{each}") for each in numbers], ", ")


def cost(document: Plan, position: int) -> int:
    """Bytes of a layer when it is pushed; of NAR where nothing is known of it compressed."""
    paths = document.layers[position - 1].paths
    return sum((document.compressed or document.sizes)[path] for path in paths)
