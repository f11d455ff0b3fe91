"""YAML -> mappings, lists, text, numbers and booleans.

The hard part is that YAML reads `1.10`, `no`, `22:22` or `2024-01-01` as numbers, booleans and
dates. Here only `true`, `false`, `null` and plain whole numbers are more than text, so text arrives
as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import yaml

from nix2oci.config.reading import Line, one_line, plain
from nix2oci.errors import ConfigError


class _Loader(yaml.BaseLoader):
    """YAML's structure as PyYAML reads it; what a scalar means is decided here."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
        if node.tag not in _TAGS:
            raise self._error(node, f"the tag '{plain(node.tag)}' has no meaning here")
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        return super().construct_object(node, deep)

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self._fetched = 0

    def fetch_more_tokens(self) -> Any:
        """The next words and marks, of which PyYAML reads some ten thousand a second."""
        self._fetched += 1
        if self._fetched > _MAX_TOKENS:
            mark = self.get_mark()
            raise yaml.MarkedYAMLError(
                problem=f"more than {_MAX_TOKENS} words and marks", problem_mark=mark
            )
        return super().fetch_more_tokens()

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:  # noqa: N803
        """A `[` or `{`. To look for the end of many takes a time that is the square of them."""
        if self.flow_level >= _MAX_DEPTH:
            raise RecursionError
        super().fetch_flow_collection_start(TokenClass)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        """A mapping by the keys as they are written: `8080:` and `no:` are names, too."""
        found: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key must be text")
            key = key_node.value
            if key in found:
                raise self._error(key_node, f"the key '{plain(key)}' is there twice")
            found[_line(key_node)] = self.construct_object(value_node, deep)
        return found

    @staticmethod
    def _error(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _line(node: yaml.ScalarNode) -> Line:
    key = Line(node.value)
    key.number = node.start_mark.line + 1
    return key


def _scalar(node: yaml.ScalarNode) -> str | int | bool | None:
    """Text, unless it is plain and one of the few things that mean more."""
    written: str = node.value
    if node.style is not None:
        return written
    if _WHOLE_NUMBER.fullmatch(written):
        return int(written)
    return _WORDS.get(written, written)


_MAX_TOKENS = 50_000
_MAX_DEPTH = 64
"""Lists and mappings in brackets within each other: no key has more than three."""

_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", "")),
}


def read_yaml(data: bytes, path: str) -> object:
    """What a file says, None when that is nothing.

    Raises `ConfigError` with line and column when it is no YAML.
    """
    try:
        source = data.decode("utf-8-sig")
        return _Loader(source).get_single_data()
    except UNREADABLE as err:
        raise unreadable(err, data, path) from err


def events(source: str) -> Iterator[yaml.Event]:
    """The parts of YAML text of any size, one after the other; raises `UNREADABLE`.

    libyaml reads 30 times as many of them a second, and nests up to 1,000 deep; a PyYAML that was
    built without it has the limits of nix2oci.yaml.
    """
    yaml.reader.Reader(source)  # which knows where a character is that YAML has not
    return yaml.parse(source, Loader=getattr(yaml, "CBaseLoader", _Loader))


UNREADABLE = (yaml.YAMLError, RecursionError, ValueError, OverflowError)
"""What reading YAML raises, for `unreadable`."""


def unreadable(err: Exception, data: bytes, path: str) -> ConfigError:
    """What to say of a file that is no YAML, with line and column."""
    match err:
        case UnicodeDecodeError():
            at = _place(data[: err.start].decode("utf-8-sig", "replace"))
            problem = f"byte {err.start} is not UTF-8"
        case yaml.reader.ReaderError():
            at = _place(data.decode("utf-8-sig")[: err.position])
            problem = f"the character {chr(err.character)!a} is not allowed"
        case yaml.MarkedYAMLError():
            mark = err.problem_mark or err.context_mark
            at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
            context = f"{err.context}, " if str(err.problem).startswith("but ") else ""
            problem = one_line(f"{context}{err.problem}")
        case RecursionError():
            at, problem = "", "it is nested too deeply"
        case _:
            at, problem = "", "a number or an escape is out of range"
    return ConfigError(f"cannot read {path}{at}: {problem}")


def _place(before: str) -> str:
    """Line and column behind a text."""
    return f":{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
