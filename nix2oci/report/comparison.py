"""What two images differ in, and why a store path is in one, as `--json` prints it."""

from __future__ import annotations

from msgspec import Struct

from nix2oci.compare.chains import Chain, Explanation
from nix2oci.compare.difference import Contents, Difference, Held, Layer
from nix2oci.compare.inputs import InputKind, Reasons
from nix2oci.model.closure import StorePath
from nix2oci.text import display


class Side(Struct, frozen=True):
    """What was named, and what is in it."""

    name: str
    kind: InputKind
    contents: Contents
    digest: str | None = None
    is_read: bool = True
    """Whether what is in it is known from its own bytes, and not from a document about an image."""


def difference_document(old: Side, new: Side, found: Difference) -> dict[str, object]:
    """What NEW has that OLD has not; sizes in bytes."""
    return {
        "differ": bool(found),
        "old": _side_document(old),
        "new": _side_document(new),
        "push": found.moved,
        "pull": found.moved,
        "pull_in_order": found.in_order,
        "changes": [
            {
                "change": str(change.fate),
                "package": change.name.package,
                "output": change.name.output,
                "old": _held_document(change.old),
                "new": _held_document(change.new),
            }
            for change in found.changes
        ],
        "layers": {
            "kept": [_layer_document(layer) for layer in found.kept],
            "added": [_layer_document(layer) for layer in found.added],
            "lost": [_layer_document(layer) for layer in found.lost],
        },
        "settings": [
            {"name": setting.name, "old": setting.old, "new": setting.new}
            for setting in found.settings
        ],
    }


def _side_document(side: Side) -> dict[str, object]:
    return {
        "name": side.name,
        "kind": str(side.kind),
        "digest": side.digest,
        "read": side.is_read,
        "size": side.contents.size,
        "nar_size": side.contents.nar_size,
        "layers": len(side.contents.layers),
        "paths": len(side.contents.paths),
    }


def _held_document(held: Held | None) -> dict[str, object] | None:
    if held is None:
        return None
    return {
        "path": str(held.path),
        "version": held.name.version,
        "nar_size": held.nar_size,
    }


def _layer_document(layer: Layer) -> dict[str, object]:
    return {
        "digest": layer.digest or None,
        "diff_id": layer.diff_id or None,
        "size": layer.size,
        "paths": [str(path) for path in layer.paths],
    }


def explanation_document(found: Reasons, answer: Explanation) -> dict[str, object]:
    """Why a store path is there."""
    return {
        "path": str(answer.path),
        "nar_size": found.graph.sizes[answer.path],
        "saved": found.graph.size(answer.only_through),
        "saved_packed": found.packed_size(answer.only_through),
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
