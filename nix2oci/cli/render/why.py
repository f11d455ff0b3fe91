"""What keeps a store path in an image, for people and for machines."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from nix2oci import text
from nix2oci.compare.chains import Chain
from nix2oci.compare.inputs import Reasons
from nix2oci.model.closure import StorePath
from nix2oci.text import display

_FILES = 3
"""Files, or reasons of a root, that are named in a line without -v."""

_GONE = 6
"""Store paths that would go with it which are named without -v."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Why one store path is there."""

    path: StorePath
    referrers: tuple[StorePath, ...]
    only_through: tuple[StorePath, ...]
    chains: tuple[Chain, ...]
    more: bool
    """There are more chains than these."""


# --- for people --------------------------------------------------------------------------------


def answer_text(found: Reasons, answer: Answer, *, every: bool) -> str:
    graph = found.graph
    own = text.size(graph.sizes[answer.path])
    lines = [str(answer.path), f"  {own} of NAR; {_weight(found, answer, every=every)}"]
    lines.append(f"  {_kept_by(answer)}")
    for chain in answer.chains:
        lines += ["", *_chain(found, chain, every=every)]
    if answer.more:
        more = "" if every else "; -v shows more"
        lines += ["", f"  there are more chains, none of them shorter{more}"]
    return "\n".join(lines)


def _weight(found: Reasons, answer: Answer, *, every: bool) -> str:
    gone = sorted(answer.only_through, key=lambda path: (-found.graph.sizes[path], path))
    size = text.size(found.graph.size(gone))
    packed = _packed(found, answer)
    if packed is not None:
        size += f" ({text.size(packed)} of layers)"
    others = [path for path in gone if path != answer.path]
    if not others:
        return f"without it {size} would go"
    names = text.and_more([path.name for path in others], None if every else _GONE)
    return f"without it {size} would go, since only it keeps {names}"


def _packed(found: Reasons, answer: Answer) -> int | None:
    """Bytes of layers that would go; None where there are no layers yet."""
    if found.packed is None:
        return None
    return sum(found.packed[path] for path in answer.only_through)


def _kept_by(answer: Answer) -> str:
    if not answer.referrers:
        return "no other store path refers to it"
    count = len(answer.referrers)
    return f"{count} store path refers to it" if count == 1 else f"{count} store paths refer to it"


def _chain(found: Reasons, chain: Chain, *, every: bool) -> list[str]:
    """The root with its reasons, then a line for each step, and where the reference is."""
    shown = None if every else _FILES
    reasons = found.graph.roots[chain[0]]
    lines = [f"  {chain[0].name}  ({text.and_more(reasons, shown)})"]
    for depth, (owner, reference) in enumerate(pairwise(chain), 1):
        files = [display(path) or "." for path in found.naming(reference, owner)]
        where = text.and_more(files, shown) if files else "in no file that could be read"
        lines.append(f"  {'   ' * depth}-> {reference.name}  ({where})")
    return lines


# --- for machines ------------------------------------------------------------------------------


def answer_document(found: Reasons, answer: Answer) -> dict[str, object]:
    return {
        "path": str(answer.path),
        "nar_size": found.graph.sizes[answer.path],
        "saved": found.graph.size(answer.only_through),
        "saved_packed": _packed(found, answer),
        "only_through": [
            {"path": str(path), "nar_size": found.graph.sizes[path]} for path in answer.only_through
        ],
        "referrers": [str(path) for path in answer.referrers],
        "chains": [_chain_document(found, chain) for chain in answer.chains],
        "complete": not answer.more,
    }


def _chain_document(found: Reasons, chain: Chain) -> dict[str, object]:
    return {
        "reasons": list(found.graph.roots[chain[0]]),
        "steps": [
            {"path": str(path), "files": [display(file) for file in _files(found, path, after)]}
            for path, after in zip(chain, (*chain[1:], None), strict=True)
        ],
    }


def _files(found: Reasons, path: StorePath, after: StorePath | None) -> tuple[bytes, ...]:
    return found.naming(after, path) if after else ()
