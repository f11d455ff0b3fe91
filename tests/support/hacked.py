"""A node as Nix unpacks it with its setting `use-case-hack` (src/libutil/archive.cc)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from support.fakestore import Node


def hacked(node: Node) -> Node:
    """The same with other names where two of a directory differ in case alone."""
    if not isinstance(node, Mapping):
        return node
    seen = Counter[bytes]()
    made: dict[bytes, Node] = {}
    for name in sorted(node):
        number = seen[name.lower()]
        seen[name.lower()] += 1
        made[name + b"~nix~case~hack~%d" % number if number else name] = hacked(node[name])
    return made
