"""Values as YAML gives them, and the place that an error names when one has no meaning.

The hard part is to never guess: `true`, `1.10` and a list where text belongs are errors, since
what they would turn into may not be what was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import NoneType

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import ConfigError

_NUMBER = r"0|[1-9][0-9]{0,17}"


class Location(Struct, frozen=True):
    """Where a value was written, as an error says it: `nix2oci.yaml: env.PORT`, `--env PORT`."""

    text: str
    is_flag: bool = False
    file: str = ""
    """What `text` begins with that is the name of a file."""
    line: int = 0
    """Of the file, 0 where it is not known."""
    numbers: bool = False
    """Whether errors tell the line."""

    def at(self, step: str | int) -> Location:
        """The place of an entry of the mapping, or of an item of the list, that is here."""
        if isinstance(step, int):
            return self if self.is_flag else replace(self, text=f"{self.text}[{step}]")
        text = f"{self.text}{' ' if self.is_flag else '.'}{plain(step)}"
        return replace(self, text=text, line=line_of(step) or self.line)

    def numbered(self) -> Location:
        """The same place, with its line where that is known."""
        if not self.line or not self.file:
            return self
        rest = self.text.removeprefix(self.file)
        return Location(f"{self.file}:{self.line}{rest}", file=self.file)

    def expected(self, what: str, value: object, hint: str | None = None) -> ConfigError:
        if value is None:
            hint = "leave the key out to get the default"
        return self.wrong(f"expected {what}, got {show(value)}", hint)

    def wrong(self, cause: str, hint: str | None = None) -> ConfigError:
        shown = self.numbered() if self.numbers else self
        return ConfigError(f"{shown.text}: {cause}", hint=hint)


class Line(str):
    """A key of a YAML file, which knows its line."""

    __slots__ = ("number",)
    number: int


def line_of(key: str) -> int:
    """The line of a key, 0 for one of no file."""
    return key.number if isinstance(key, Line) else 0


Reader = Callable[[object, Location], object]


def one_line(name: str) -> str:
    """A name with its control characters and stray bytes escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def plain(name: str) -> str:
    """A name in one line and of bounded length."""
    return one_line(name if len(name) <= 80 else name[:77] + "...")


def show(value: object) -> str:
    """A value as an error quotes it: short, in one line, in YAML's words for the kinds."""
    if isinstance(value, str):
        return f"'{plain(value)}'"
    if isinstance(value, int) and abs(value) >= 10**18:
        return "a number of more than 18 digits"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    kinds: dict[type, str] = {NoneType: "nothing", dict: "a mapping", list: "a list"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def text(value: object, location: Location) -> str:
    """Text; a whole number becomes its digits. It is valid Unicode and holds no NUL."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        return str(value)
    if not isinstance(value, str):
        scalar = isinstance(value, bool | float)
        raise location.expected("text", value, "put the value in quotes" if scalar else None)
    if "\0" in value:
        raise location.wrong("the text holds a NUL")
    if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
        raise location.wrong("the text is not valid Unicode")
    return value


def filled(value: object, location: Location) -> str:
    """Text that is not empty."""
    found = text(value, location)
    if not found:
        raise location.wrong("the text is empty")
    return found


def items(value: object, location: Location) -> tuple[object, ...]:
    if not isinstance(value, list | tuple):
        raise location.expected("a list", value, _one_item_hint(value))
    return tuple(value)


def _one_item_hint(value: object) -> str | None:
    return "a list of one is written as [value]" if isinstance(value, str | int) else None


def mapping(value: object, location: Location) -> Mapping[str, object]:
    """A mapping whose keys are text and not empty."""
    if not isinstance(value, Mapping):
        kind = "write each as 'NAME: value'" if isinstance(value, list | tuple) else None
        raise location.expected("a mapping", value, kind)
    found: dict[str, object] = {}
    for key, item in value.items():
        name = filled(key, location)
        if name in found:
            raise location.wrong(f"'{plain(name)}' is there twice")
        found[name] = item
    return found


def texts(value: object, location: Location) -> tuple[str, ...]:
    return tuple(text(item, location.at(i)) for i, item in enumerate(items(value, location)))


def each_once(
    value: object, location: Location, read: Callable[[object, Location], str]
) -> tuple[str, ...]:
    """A list in which nothing is there twice, each item read by `read`."""
    found: dict[str, None] = {}
    for i, item in enumerate(items(value, location)):
        one = read(item, location.at(i))
        if one in found:
            raise location.at(i).wrong(f"'{plain(one)}' is there twice")
        found[one] = None
    return tuple(found)


def known(
    value: object,
    location: Location,
    names: tuple[str, ...],
    instead: Mapping[str, str] | None = None,
) -> Mapping[str, object]:
    """A mapping that has no other keys than `names`; the error tells the nearest of them.

    `instead` has hints for keys that people expect: by name, in small letters alone.
    """
    found = mapping(value, location)
    for name in found:
        if name not in names:
            bare = re.sub(r"[^a-z]", "", name.lower())
            hint = (instead or {}).get(bare) or nearest(name, names)
            there = replace(location, line=line_of(name) or location.line)
            raise there.wrong(f"unknown key '{plain(name)}'", hint)
    return found


def nearest(name: str, names: tuple[str, ...]) -> str:
    """A hint: the name that was probably meant, else all of them."""
    from difflib import get_close_matches  # noqa: PLC0415  # start-up counts

    near = get_close_matches(name, names, n=1) or [n for n in names if name.startswith(n)]
    return f"did you mean '{near[0]}'?" if near else "the names are: " + ", ".join(names)


def switch(value: object, location: Location) -> bool:
    if not isinstance(value, bool):
        raise location.expected("true or false", value)
    return value


def one_of(choices: tuple[str, ...]) -> Callable[[object, Location], str]:
    def read(value: object, location: Location) -> str:
        if not isinstance(value, str) or value not in choices:
            raise location.expected(" or ".join([", ".join(choices[:-1]), choices[-1]]), value)
        return value

    return read


def number_of(value: object) -> int | None:
    """The whole number, 0 or more, that a value is or has the digits of; None for any other."""
    if isinstance(value, str) and re.fullmatch(_NUMBER, value):
        return int(value)
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**18
    return value if fits and isinstance(value, int) else None
