"""What changed between two images, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from nix2oci import text
from nix2oci.compare.difference import Change, Difference, Fate, Held, Layer, Setting
from nix2oci.report.comparison import Side
from nix2oci.report.terminal.table import table

_SHOWN = 10
"""Rows of each kind of change that are shown without -v."""

_LONGEST = 100
"""Characters of a setting's value that are shown without -v."""

_THE_SAME = (
    "no store path and no setting differs: what does is outside the store or in launchers, "
    "or is how layers were made"
)

_HASH_PART = re.compile(r"\b([0-9a-df-np-sv-z]{7})[0-9a-df-np-sv-z]{25}-")


def difference_text(old: Side, new: Side, found: Difference, *, every: bool) -> str:
    if not found:
        return f"no difference: {_summary(new)}"
    parts = [_cost(old, new, found)]
    if found.changes:
        parts.append(_changes(found.changes, None if every else _SHOWN))
    elif not found.settings:
        parts.append(_THE_SAME)
    if found.settings:
        parts.append(_settings(found.settings, None if every else _LONGEST))
    return "\n\n".join(parts)


def _summary(side: Side) -> str:
    layers = text.count(len(side.contents.layers), "layer")
    what = "" if side.contents.is_image else " of NAR"
    paths = text.count(len(side.contents.paths), "store path")
    return f"{layers}, {text.size(side.contents.size)}{what}, {paths}"


def _cost(old: Side, new: Side, found: Difference) -> str:
    kept = f"{len(found.kept)} kept ({text.size(_size(found.kept))})"
    come = f"{len(found.added)} new ({text.size(found.moved)})"
    repacked = _repacked(found)
    if repacked:
        come += f", {repacked} of them only compressed in another way"
    lines = [
        f"old:     {_summary(old)}",
        f"new:     {_summary(new)}",
        f"layers:  {kept}, {come}, {len(found.lost)} lost ({text.size(_size(found.lost))})",
        *_moved(new, found),
    ]
    if old.contents.is_image != new.contents.is_image:
        lines.append("         (layers of store paths alone, compared by these)")
    return "\n".join(lines)


def _moved(new: Side, found: Difference) -> list[str]:
    if not new.contents.is_image:
        return [f"to move: {text.size(found.moved)} of NAR, before compression"]
    lines = [f"to push: {text.size(found.moved)}, to a registry that has OLD"]
    pull = f"to pull: {text.size(found.moved)}, to a machine that has OLD"
    if found.in_order > found.moved:
        pull += (
            f"; {text.size(found.in_order)} where layers are reused only up to the first new one"
        )
    return [*lines, pull]


def _repacked(found: Difference) -> int:
    """How many of the new layers are one of the old ones with another digest."""
    lost = {layer.diff_id for layer in found.lost if layer.diff_id}
    return sum(layer.diff_id in lost for layer in found.added)


def _size(layers: Iterable[Layer]) -> int:
    return sum(layer.size for layer in layers)


def _changes(changes: Sequence[Change], shown: int | None) -> str:
    rows = []
    hidden = []
    for fate in Fate:
        alike = [change for change in changes if change.fate is fate]
        rows += [_row(change) for change in alike[:shown]]
        if rest := text.more(len(alike), shown):
            sides = (change.new or change.old for change in alike[shown:])
            size = text.size(sum(side.nar_size for side in sides if side))
            hidden.append(f"{rest} {fate}, {size} of NAR; -v shows them")
    growth = sum(change.growth for change in changes)
    head = ("change", "package", "old", "new", "size", "more")
    total = f"{_tally(changes)}: {_signed(growth)} of NAR"
    return "\n".join([table(head, rows), *hidden, total])


def _row(change: Change) -> tuple[str, ...]:
    side = change.new or change.old
    assert side is not None
    size = text.size(side.nar_size)
    versions = _version(change.old), _version(change.new)
    return (change.fate, change.name.title, *versions, size, _signed(change.growth))


def _version(held: Held | None) -> str:
    """The version; the start of the hash part where the name has none."""
    if held is None:
        return "-"
    return held.name.version or f"{held.path.hash_part[:7]}…"


def _tally(changes: Sequence[Change]) -> str:
    counts = ((sum(c.fate is fate for c in changes), fate) for fate in Fate)
    return ", ".join(f"{count} {fate}" for count, fate in counts if count)


def _signed(count: int) -> str:
    return f"{'-' if count < 0 else '+'}{text.size(abs(count))}"


def _settings(settings: Iterable[Setting], longest: int | None) -> str:
    """Lines as those of a patch."""
    lines = []
    for setting in settings:
        for sign, value in (("-", setting.old), ("+", setting.new)):
            if value is not None:
                lines.append(
                    f"{sign} {text.printable(setting.name)}  {_cut(value, longest)}".rstrip()
                )
    return "\n".join(lines)


def _cut(value: str, longest: int | None) -> str:
    shown = text.printable(value)
    if longest is None:
        return shown
    shown = _HASH_PART.sub(r"\1…-", shown)
    return shown[:longest] + "…" if len(shown) > longest else shown
