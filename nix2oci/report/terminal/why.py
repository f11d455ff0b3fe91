"""What keeps a store path in an image, in words."""

from __future__ import annotations

from itertools import pairwise

from nix2oci import text
from nix2oci.compare.chains import Chain, Explanation
from nix2oci.compare.inputs import Reasons
from nix2oci.model.closure import StorePath
from nix2oci.report.terminal.styled import Line, Span, Table, Text
from nix2oci.text import display

_FILES = 3
"""Files, or reasons of a root, that are named in a line without -v."""

_GONE = 6
"""Store paths that would go with it which are named without -v."""


def explanation_text(found: Reasons, answer: Explanation, *, every: bool) -> Text:
    graph = found.graph
    own = text.size(graph.sizes[answer.path])
    lines: list[str | Line | Table] = [(Span(str(answer.path), "bold"),)]
    lines += [f"  {own} of NAR; {_weight(found, answer, every=every)}", f"  {_kept_by(answer)}"]
    for chain in answer.chains:
        lines += ["", *_chain(found, chain, every=every)]
    if answer.more:
        more = "" if every else "; -v shows more"
        lines += ["", f"  there are more chains, none of them shorter{more}"]
    return lines


def _weight(found: Reasons, answer: Explanation, *, every: bool) -> str:
    gone = sorted(answer.only_through, key=lambda path: (-found.graph.sizes[path], path))
    size = text.size(found.graph.size(gone))
    packed = found.packed_size(gone)
    if packed is not None:
        size += f" ({text.size(packed)} of layers)"
    others = [path for path in gone if path != answer.path]
    if not others:
        return f"without it {size} would go"
    names = text.and_more([path.name for path in others], None if every else _GONE)
    return f"without it {size} would go, since only it keeps {names}"


def _kept_by(answer: Explanation) -> str:
    if not answer.referrers:
        return "no other store path refers to it"
    count = len(answer.referrers)
    return f"{count} store path refers to it" if count == 1 else f"{count} store paths refer to it"


def _chain(found: Reasons, chain: Chain, *, every: bool) -> list[Line]:
    """The root with its reasons, then a line for each step, and where the reference is."""
    shown = None if every else _FILES
    reasons = found.graph.roots[chain[0]]
    lines = [_step("  ", chain[0], text.and_more(reasons, shown))]
    for depth, (owner, reference) in enumerate(pairwise(chain), 1):
        lines.append(
            _step(f"  {'   ' * depth}-> ", reference, _where(found, reference, owner, shown))
        )
    return lines


def _where(found: Reasons, reference: StorePath, owner: StorePath, shown: int | None) -> str:
    """The files that hold a reference; nothing where no file is known."""
    if not found.knows_files:
        return ""
    files = [display(path) or "." for path in found.naming(reference, owner)]
    return text.and_more(files, shown) if files else "in no file that could be read"


def _step(before: str, path: StorePath, why: str) -> Line:
    return Span(before), Span(path.name, "cyan"), Span(f"  ({why})" if why else "")
