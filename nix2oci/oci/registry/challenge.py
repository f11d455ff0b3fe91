"""What a registry answers to someone it does not know: `WWW-Authenticate` (RFC 7235, 4.1).

The hard part is that commas separate challenges and the parameters of each, and stand in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  # RFC 7230's word for a word
_SCHEME = re.compile(rf"[\s,]*({_TOKEN})(?:\s+|$|(?=,))")
_PARAMETER = re.compile(rf'[\s,]*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')
_TOKEN68 = re.compile(r"([A-Za-z0-9._~+/-]+=*)\s*(?=,|$)")


class Challenge(Struct, frozen=True):
    """A way to say who one is; names in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def challenges(text: str) -> tuple[Challenge, ...]:
    """The challenges of a header's value, in order; what is malformed ends the list."""
    found: list[Challenge] = []
    position = 0
    while match := _SCHEME.match(text, position):
        parameters, position = _parameters(text, match.end())
        found.append(Challenge(match[1].lower(), parameters))
    return tuple(found)


def _parameters(text: str, position: int) -> tuple[dict[str, str], int]:
    """The parameters from a position on, and where they end."""
    parameters: dict[str, str] = {}
    while match := _PARAMETER.match(text, position):
        value = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
        parameters.setdefault(match[1].lower(), value)
        position = match.end()
    if not parameters and (match := _TOKEN68.match(text, position)):
        position = match.end()
    return parameters, position


def chosen(offered: Iterable[Challenge]) -> Challenge | None:
    """The first challenge that can be answered: Basic, or Bearer with a realm."""
    for challenge in offered:
        if challenge.scheme == "basic":
            return challenge
        if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
            return challenge
    return None
