"""`slim`: a level, or rules by name."""

from __future__ import annotations

from nix2oci.config.reading import Location, each_once, nearest, number_of, plain
from nix2oci.model.slim_rules import RULES
from nix2oci.plan.slim import SlimWish

_LEVELS = (1, 2)
_EXPECTED = "none, 1, 2 or names of rules"


def slim(value: object, location: Location) -> SlimWish | None:
    """`none`, 1, 2, a rule, or a list of rules."""
    if value in ("none", []):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value in _LEVELS:
        return SlimWish(level=value)
    if not isinstance(value, str | list):
        raise location.expected(_EXPECTED, value)
    return SlimWish(names=each_once([value] if isinstance(value, str) else value, location, _rule))


def slim_from_flag(given: str, _: Location) -> object:
    """`1`, `2`, `none`, or rules with commas between them."""
    number = number_of(given)
    if number is not None:
        return number
    return given.split(",") if "," in given else given


def _rule(value: object, location: Location) -> str:
    if not isinstance(value, str):
        raise location.expected("the name of a rule", value)
    if value not in RULES:
        raise location.wrong(f"unknown rule '{plain(value)}'", nearest(value, tuple(RULES)))
    return value
