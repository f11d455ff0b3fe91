"""The scalars of YAML text that anybody wrote, in order, and which of them are values.

Aliases are not followed, so that no text takes longer than it is; but what they would make of it is
counted, since nobody else could read it either.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, repeat

import yaml
from msgspec import Struct

from nix2oci.config.reading import plain
from nix2oci.config.yaml_file import events
from nix2oci.errors import ConfigError

_MAX_DEPTH = 128
"""Of lists and mappings in each other, which libyaml takes ever longer for; large definitions of
resources have some forty."""
_MAX_NODES = 10_000_000
"""Of a document, each alias counted as all that it means."""

_ALWAYS, _NEVER = repeat(object=True), repeat(object=False)


class _Open(Struct):
    """A list or mapping whose end is not read yet, or a document."""

    values: Iterator[bool]
    """Whether the next node in it is a value, that is no key and in none."""
    anchor: str | None = None
    nodes: int = 1


def scalars(source: str, path: str) -> Iterator[tuple[yaml.ScalarEvent, bool]]:
    """Every scalar of all documents, and whether it is a value.

    Raises `ConfigError` with line and column for what is nested too deeply, for an alias without
    an anchor and for aliases that mean too much, and what `events` does.
    """
    opened: list[_Open] = []
    meanings: dict[str | None, int] = {}
    for event in events(source):
        if isinstance(event, yaml.DocumentStartEvent):
            opened, meanings = [_Open(_ALWAYS)], {}
        elif isinstance(event, yaml.CollectionEndEvent):
            done = opened.pop()
            meanings[done.anchor] = done.nodes
            _count(done.nodes, opened[-1], event, path)
        elif isinstance(event, yaml.NodeEvent):
            is_value = next(opened[-1].values)
            if isinstance(event, yaml.CollectionStartEvent):
                if len(opened) > _MAX_DEPTH:
                    raise error(event, path, "it is nested too deeply")
                opened.append(_begun(event, is_value=is_value))
            elif isinstance(event, yaml.ScalarEvent):
                _count(1, opened[-1], event, path)
                yield event, is_value
            elif event.anchor not in meanings:
                raise error(event, path, f"there is no anchor '{plain(str(event.anchor))}'")
            else:
                _count(meanings[event.anchor], opened[-1], event, path)
            meanings.setdefault(event.anchor, 1)


def _begun(event: yaml.CollectionStartEvent, *, is_value: bool) -> _Open:
    in_mapping = isinstance(event, yaml.MappingStartEvent)
    values = cycle((False, True)) if in_mapping else _ALWAYS
    return _Open(values if is_value else _NEVER, event.anchor)


def _count(nodes: int, within: _Open, event: yaml.Event, path: str) -> None:
    within.nodes += nodes
    if within.nodes > _MAX_NODES:
        raise error(event, path, f"with its aliases it has more than {_MAX_NODES:,} values")


def place(event: yaml.Event) -> tuple[int, int]:
    """Line and column where something begins, from 1."""
    assert event.start_mark is not None  # what was read from text has marks
    return event.start_mark.line + 1, event.start_mark.column + 1


def error(event: yaml.Event, path: str, problem: str) -> ConfigError:
    """What to say of a part of a file."""
    line, column = place(event)
    return ConfigError(f"cannot read {path}:{line}:{column}: {problem}")
