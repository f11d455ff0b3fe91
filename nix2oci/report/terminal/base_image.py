"""What an image took from its base image, in words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from nix2oci.oci.inherit import Inherited
from nix2oci.report.terminal.styled import Table, Text
from nix2oci.text import and_more, count, display, printable

if TYPE_CHECKING:
    from nix2oci.pipeline.on_base import Overlay

_SHOWN = 3
_WIDTH = 60
"""Characters of a value in the table."""


def details(on: Overlay, *, every: bool) -> Iterator[str]:
    """The base in a line, and in others which of its files are hidden, or stay."""
    paths = f", which has {count(len(on.present), 'store path')} already" if on.present else ""
    layers = count(len(on.base.layers), "layer")
    yield f"on base image {on.base.name}, {layers}, digest {on.base.digest}{paths}"
    if on.over.replaced:
        replaced = _files(on.over.replaced, every=every)
        yield f"files of the base image that are replaced: {replaced}"
    if on.over.kept and every:
        kept = _files(on.over.kept, every=True)
        yield f"files that are as the base image has them: {kept}"


def inherited_table(inherited: Sequence[Inherited]) -> Text:
    """Each part of the base's configuration, what the image has for it, and which of them won."""
    rows = [(row.key, _value(row.base), _value(row.image), row.won) for row in inherited]
    return [Table(("configuration", "base", "image", "won"), rows)] if rows else []


def _value(value: object) -> str:
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = printable(text)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"


def _files(paths: Iterable[bytes], *, every: bool) -> str:
    return and_more(["/" + display(path) for path in paths], None if every else _SHOWN)
