"""YAML as PyYAML's own parser reads it, which is not the one that finds mentions: libyaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import yaml

Known = dict[int, object]


def documents(data: bytes, references: Mapping[str, str] | None = None) -> list[object]:
    """What the documents of a stream say; with each value that is a key of `references` replaced.

    A list is a tuple, a mapping a tuple of pairs, and text has its tag; an alias is what it means.
    """
    nodes = yaml.compose_all(data.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    return [_said(node, references or {}, {}) for node in nodes]


def _said(node: yaml.Node, references: Mapping[str, str], known: Known) -> object:
    if id(node) not in known:
        known[id(node)] = "itself"  # an anchor may be within what it names
        known[id(node)] = tuple(_parts(node, references, known))
    return known[id(node)]


def _parts(node: yaml.Node, references: Mapping[str, str], known: Known) -> Iterator[object]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield _said(key, {}, {}), _said(value, references, known)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield _said(item, references, known)
    elif isinstance(node, yaml.ScalarNode):
        yield node.tag, _replaced(node, references)


def _replaced(node: yaml.ScalarNode, references: Mapping[str, str]) -> str:
    text: str = node.value
    bare = text.strip("\n") if node.style in ("|", ">") else text
    return text.replace(bare, references[bare]) if bare in references else text
