"""Reading JSON that others wrote: null is absent, and what is wrong has its place.

Nothing here fails on a value, whatever it is: a field of another type reads as if it were absent,
and that is noted. So a reader says once what a document holds, `validate` shows all that was
noted, and whoever cannot do with half a document raises the first of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Self

from nix2oci.errors import LayoutError

Json = Mapping[str, object]
"""A JSON object, as it stands in a document."""

MAX_DOCUMENT = 16 << 20
"""More bytes than this are no manifest or configuration that any tool would read."""

MAX_DEPTH = 64
"""Objects and lists within each other: more than that no tool writes."""

MAX_SIZE = 2**63 - 1
"""As descriptor.md has it for bytes of a blob."""

MAX_SHOWN = 60
"""Characters of a value in a message."""

ANY_TEXT = r"(?s:.*)"
_RFC3339 = r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)"


def parse_json(data: bytes, what: str) -> object:
    """Bytes as JSON (RFC 8259); `LayoutError`, which names `what`, for anything else."""
    try:
        document: object = json.loads(data.decode(), parse_constant=_no_number)
        if b"\\ud" in data or b"\\uD" in data:
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as err:
        raise LayoutError(f"cannot read {what}: it is not JSON") from err
    if _is_deep(document):
        raise LayoutError(f"cannot read {what}: its JSON is nested more than {MAX_DEPTH} deep")
    return document


def parse_object(data: bytes, what: str) -> Json:
    """Bytes as a JSON object; `LayoutError` when they are something else."""
    document = parse_json(data, what)
    if not isinstance(document, dict):
        raise LayoutError(f"cannot read {what}: it is not a JSON object")
    return document


def _no_number(text: str) -> object:
    """NaN and the infinities, which Python would take."""
    raise ValueError(text)


def _is_deep(document: object) -> bool:
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        inner = [value for value in level if isinstance(value, dict | list)]
        if not inner:
            return False
        level = [
            child
            for value in inner
            for child in (value.values() if isinstance(value, dict) else value)
        ]
    return True


def without_nulls(value: object) -> object:
    """The value with every null member left out: what it says, in our own documents."""
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [without_nulls(one) for one in value if one is not None]
    return value


Kind = Literal["null", "form", "type"]
"""`null`: says nothing, as an absent field does. `form`: can be read and is not as it should be.
`type`: cannot be read."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Where in a document, such as `config.Env[2]`, and what is wrong there."""

    place: str
    message: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Fields:
    """An object in a document. A field is read by its name, and an absent one is null."""

    values: Json
    place: str = ""
    problems: list[Problem] = field(default_factory=list)
    """Of the whole document, in its order."""
    there: bool = True
    """Whether there is an object at all."""

    @classmethod
    def of(cls, document: object) -> Fields:
        """A whole document; one without fields where it is no object, which is noted."""
        return Value(document, "", []).there("an object").object()

    def __getitem__(self, key: str) -> Value:
        return Value(self.values.get(key), f"{self.place}.{key}", self.problems)

    def __contains__(self, key: str) -> bool:
        return self.values.get(key) is not None

    def null(self, *keys: str) -> None:
        """Note which of these fields are there and null."""
        for key in keys:
            if key in self.values:
                self[key].not_null()

    def need(self, *keys: str, kind: Kind = "form") -> None:
        """Note which of these fields are missing."""
        for key in keys:
            if self.there and key not in self:
                Value(None, self.place, self.problems).note(f"'{key}' is missing", kind)

    def check(self, failure: str, hint: str | None = None) -> None:
        """Raise `LayoutError` for the first thing in the document that could not be read.

        `failure` is what cannot be done therefore, such as `cannot read app.oci`.
        """
        for problem in self.problems:
            if problem.kind == "type":
                raise LayoutError(f"{failure}: {problem.place}: {problem.message}", hint=hint)


@dataclass(frozen=True, slots=True)
class Value:
    """A value at a place in a document; None stands for null and for what is not there."""

    value: object
    place: str
    problems: list[Problem]

    def note(self, message: str, kind: Kind) -> None:
        """Something is wrong here."""
        place = self.place.lstrip(".") or "the document"
        self.problems.append(Problem(place, message, kind))

    def not_null(self) -> None:
        """Note a field that is there and says nothing."""
        if self.value is None:
            self.note("it is null, where it should be left out", "null")

    def expected(self, wanted: str, kind: Kind = "type") -> None:
        """Something else should be here."""
        self.note(f"expected {wanted}, got {short(self.value)}", kind)

    def text(self, pattern: str = ANY_TEXT, meaning: str = "text") -> str | None:
        """Text, also where it has another form, which is noted."""
        if isinstance(self.value, str):
            if not re.fullmatch(pattern, self.value):
                self.expected(meaning, "form")
            return self.value
        if self.value is not None:
            self.expected(meaning)
        return None

    def time(self) -> str | None:
        """A time as RFC 3339, section 5.6, has it, also where it is some other text."""
        found = self.text(meaning="a time as in RFC 3339")
        if found is not None and not _is_time(found):
            self.expected("a time as in RFC 3339", "form")
        return found

    def whole(self, most: int = MAX_SIZE) -> int | None:
        """A whole number from 0 to `most`."""
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            if 0 <= self.value <= most:
                return self.value
        elif self.value is None:
            return None
        self.expected("a whole number from 0")
        return None

    def exactly(self, wanted: int) -> None:
        """Note a value that is not this number."""
        is_number = isinstance(self.value, int) and not isinstance(self.value, bool)
        if self.value is not None and not (is_number and self.value == wanted):
            self.expected(f"{wanted}", "form")

    def truth(self) -> bool:
        """True or false, where there is neither false."""
        if self.value is not None and not isinstance(self.value, bool):
            self.expected("true or false")
        return self.value is True

    def object(self) -> Fields:
        """An object, where there is none one without fields."""
        if isinstance(self.value, dict):
            return Fields(self.value, self.place, self.problems)
        if self.value is not None:
            self.expected("an object")
        return Fields({}, self.place, self.problems, there=False)

    def items(self) -> tuple[Value, ...]:
        """What a list has, where there is none nothing."""
        if isinstance(self.value, list):
            numbered = enumerate(self.value)
            return tuple(Value(v, f"{self.place}[{n}]", self.problems) for n, v in numbered)
        if self.value is not None:
            self.expected("a list")
        return ()

    def members(self) -> dict[str, Value]:
        """What an object has by name."""
        values = self.object().values.items()
        found = {key: Value(v, f"{self.place}[{key!r}]", self.problems) for key, v in values}
        for item in found.values():
            item.not_null()
        return found

    def objects(self) -> tuple[Fields, ...]:
        """A list of objects; what is none among them has no fields."""
        return tuple(item.there("an object").object() for item in self.items())

    def texts(self, pattern: str = ANY_TEXT, meaning: str = "text") -> tuple[str, ...]:
        """A list of text, without what is none."""
        found = (item.there(meaning).text(pattern, meaning) for item in self.items())
        return tuple(text for text in found if text is not None)

    def texts_by_name(self) -> dict[str, str]:
        """An object whose members are text, without those that are none."""
        found = {name: item.text() for name, item in self.members().items()}
        return {name: text for name, text in found.items() if text is not None}

    def names(self) -> tuple[str, ...]:
        """The names of an object whose members are empty objects: a set, as Go writes it."""
        for item in self.members().values():
            item.object()
        return tuple(self.members())

    def there(self, wanted: str) -> Self:
        """Itself; it is noted where it is null, as no item of a list should be."""
        if self.value is None:
            self.expected(wanted)
        return self


def _is_time(text: str) -> bool:
    if not re.fullmatch(_RFC3339, text):
        return False
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return True


def short(value: object) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "…"
