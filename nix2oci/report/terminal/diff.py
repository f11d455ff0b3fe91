"""What changed between two images, in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from nix2oci import text
from nix2oci.compare.difference import Change, Difference, Fate, Held, Layer, Setting
from nix2oci.report.comparison import Side
from nix2oci.report.terminal.styled import Line, Span, Style, Table, Text

_SHOWN = 10
"""Rows of each kind of change that are shown without -v."""

_LONGEST = 100
"""Characters of a setting's value that are shown without -v."""

_THE_SAME = (
    "no store path and no setting differs: what does is outside the store or in launchers, "
    "or is how layers were made"
)

_STYLES: dict[Fate, Style] = {
    Fate.UPDATED: "yellow",
    Fate.ADDED: "green",
    Fate.REMOVED: "red",
    Fate.REBUILT: "cyan",
}

_HASH_PART = re.compile(r"\b([0-9a-df-np-sv-z]{7})[0-9a-df-np-sv-z]{25}-")


def difference_text(old: Side, new: Side, found: Difference, *, every: bool) -> Text:
    if not found:
        return [f"no difference: {_summary(new, as_nar=False)}"]
    lines: list[str | Line | Table] = [*_cost(old, new, found)]
    if found.changes:
        lines += ["", *_changes(found.changes, None if every else _SHOWN)]
    elif not found.settings:
        lines += ["", _THE_SAME]
    if found.settings:
        lines += ["", *_settings(found.settings, None if every else _LONGEST)]
    return lines


def _summary(side: Side, *, as_nar: bool) -> str:
    """What a side is; with `as_nar` an image as what has no layers yet can be compared with."""
    layers = text.count(len(side.contents.layers), "layer")
    size = text.size(side.contents.size)
    if not side.contents.is_image:
        size = f"{size} of NAR"
    elif as_nar:
        size = f"{text.size(side.contents.nar_size)} of NAR, compressed {size}"
    paths = text.count(len(side.contents.paths), "store path")
    return f"{layers}, {size}, {paths}"


def _cost(old: Side, new: Side, found: Difference) -> list[str]:
    mixed = old.contents.is_image != new.contents.is_image
    sized = _nar_sizes(old, new) if mixed else _sizes
    kept = f"{len(found.kept)} kept ({sized(found.kept)})"
    come = f"{len(found.added)} new ({sized(found.added)})"
    repacked = _repacked(found)
    if repacked:
        come += f", {repacked} of them only compressed in another way"
    lines = [
        f"old:     {_summary(old, as_nar=mixed)}",
        f"new:     {_summary(new, as_nar=mixed)}",
        f"layers:  {kept}, {come}, {len(found.lost)} lost ({sized(found.lost)})",
        *_moved(new, found),
    ]
    if mixed:
        lines.append("         (layers of store paths alone, compared by these, in bytes of NAR)")
    return lines


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


def _sizes(layers: Iterable[Layer]) -> str:
    return text.size(sum(layer.size for layer in layers))


def _nar_sizes(old: Side, new: Side) -> Callable[[Iterable[Layer]], str]:
    """Where one side has no blobs yet, layers are as large as their store paths."""
    sizes = {**old.contents.paths, **new.contents.paths}

    def total(layers: Iterable[Layer]) -> str:
        return text.size(sum(sizes.get(path, 0) for layer in layers for path in layer.paths))

    return total


def _changes(changes: Sequence[Change], shown: int | None) -> list[str | Table]:
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
    return [Table(head, rows), *hidden, total]


def _row(change: Change) -> tuple[object, ...]:
    side = change.new or change.old
    assert side is not None
    size = text.size(side.nar_size)
    versions = _version(change.old), _version(change.new)
    fate = Span(change.fate, _STYLES[change.fate])
    return (fate, change.name.title, *versions, size, _signed(change.growth))


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


def _settings(settings: Iterable[Setting], longest: int | None) -> list[Line]:
    """Lines as those of a patch."""
    lines: list[Line] = []
    for setting in settings:
        sides: tuple[tuple[str, str | None, Style], ...] = (
            ("-", setting.old, "red"),
            ("+", setting.new, "green"),
        )
        for sign, value, style in sides:
            if value is not None:
                shown = f"{sign} {setting.name}  {_cut(value, longest)}".rstrip()
                lines.append((Span(shown, style),))
    return lines


def _cut(value: str, longest: int | None) -> str:
    shown = text.printable(value)
    if longest is None:
        return shown
    shown = _HASH_PART.sub(r"\1…-", shown)
    return shown[:longest] + "…" if len(shown) > longest else shown
