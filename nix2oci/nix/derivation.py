"""Derivations, read from their files: what a package is called, and which patches it has.

A `.drv` is one term of nested tuples, lists and strings, in the same form for every version of Nix
(src/libstore/derivations.cc), so that no Nix has to be started for hundreds of them. Quotes within
strings are escaped, so that a tuple that is searched for cannot be found within one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from msgspec import Struct

_STRING = rb'"((?:[^"\\]|\\.)*)"'
_OUTPUT = re.compile(rb"\(" + rb",".join([_STRING] * 4) + rb"\)", re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}

_INPUT = re.compile(rb'\("([^"\\]+\.drv)",[\[(]')

_WANTED = ("pname", "version", "patches", "src", "url", "urls")


class Derivation(Struct, frozen=True):
    """What a derivation says of itself."""

    outputs: tuple[str, ...]
    """Their paths; empty for one that is known only when it is built."""
    env: Mapping[str, str]
    """`_WANTED`, where they are texts; a list is joined by spaces."""
    inputs: tuple[str, ...] = ()
    """Other derivations that it needs."""

    @classmethod
    def parse(cls, data: bytes) -> Derivation | None:
        """None for what is no derivation."""
        if not data.startswith((b"Derive(", b"DrvWithVersion(")):
            return None
        outputs = tuple(_text(found[2]) for found in _OUTPUT.finditer(data))
        plain = {name: text for name in _WANTED if (text := _attribute(data, name))}
        inputs = tuple(_text(found[1]) for found in _INPUT.finditer(data))
        return cls(outputs, {**plain, **_structured(_attribute(data, "__json"))}, inputs)

    def text(self, name: str) -> str:
        return self.env.get(name, "")

    @property
    def url(self) -> str:
        """Where a source comes from: the first place."""
        return next(iter(self.text("urls").split()), "") or self.text("url")

    def source_inputs(self) -> tuple[str, ...]:
        """The derivations among `inputs` that may make the source: by their names."""
        name = self.text("src").rpartition("/")[2].partition("-")[2]
        return tuple(each for each in self.inputs if name and each.endswith(f"-{name}.drv"))

    @property
    def patches(self) -> tuple[str, ...]:
        """The names of the patches' files, without the hash part."""
        names = (each.rpartition("/")[2] for each in self.text("patches").split())
        return tuple(re.sub(r"^[0-9a-df-np-sv-z]{32}-", "", name) for name in names)


def _attribute(data: bytes, name: str) -> str:
    """The value in a pair of two strings of which the first is the name; empty without one."""
    start = f'("{name}",'.encode()
    at = data.find(start)
    while at >= 0:
        found = re.compile(_STRING + rb"\)", re.DOTALL).match(data, at + len(start))
        if found:
            return _text(found[1])
        at = data.find(start, at + 1)
    return ""


def _text(data: bytes) -> str:
    plain = _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), data)
    return plain.decode("utf-8", "replace")


def _structured(text: str) -> dict[str, str]:
    """Structured attributes, as far as they are texts and lists of texts."""
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    values = {name: found.get(name) for name in _WANTED} if isinstance(found, dict) else {}
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    lists = {
        name: " ".join(each for each in value if isinstance(each, str))
        for name, value in values.items()
        if isinstance(value, list)
    }
    return texts | lists
