"""Values in YAML text that name an image which is yet to be built, and the text with its reference.

`nix2oci://INSTALLABLE` is one when the value is nothing else. The hard part is that all other bytes
stay as they are, so nothing is written from what was read: only the characters of the value are
replaced, in the style of quotes, or of a block, that they have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain

import yaml
from msgspec import Struct

from nix2oci.config.reading import nearest, plain
from nix2oci.config.yaml_file import UNREADABLE, unreadable
from nix2oci.config.yaml_scalars import place, scalars
from nix2oci.errors import ConfigError, Nix2OCIError

SCHEME = "nix2oci://"
_BOM = "\ufeff"


class Mention(Struct, frozen=True):
    """A value that is to become a reference, and where it is."""

    installable: str
    """What follows the scheme."""
    place: str
    """`FILE:LINE:COLUMN`, for messages."""
    start: int
    """Index of its first character in the text, without quotes."""
    end: int
    is_plain: bool
    """Whether it has no quotes and is in no block."""

    @property
    def name(self) -> str:
        """What `#NAME` says, an image below `images` of nix2oci.yaml; empty for an installable."""
        return self.installable[1:] if self.installable.startswith("#") else ""

    def number_in(self, images: Sequence[str]) -> int:
        """Which of the images it names; raises `ConfigError`."""
        if self.name in images:
            return images.index(self.name)
        raise ConfigError(
            f"nix2oci.yaml has no image '{plain(self.name)}'",
            hint=nearest(self.name, tuple(images))
            if images
            else f"images are named below `images`; .{plain(self.installable)} is a package",
        )

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Say in every error where the mention is."""
        try:
            yield
        except Nix2OCIError as err:
            err.args = (f"{self.place}: {err}",)
            raise


class MentionsText(Struct, frozen=True):
    """The text of a file, and what it says of images."""

    path: str
    data: bytes
    mentions: tuple[Mention, ...]
    left: tuple[str, ...]
    """Lines for people, each with `FILE:LINE`, about mentions that stay as they are."""

    def resolved(self, references: Mapping[str, str]) -> bytes:
        """The text with the reference of each installable in the places where it is mentioned."""
        marks, text = _split(self.data)
        pieces, done = [marks], 0
        for mention in self.mentions:
            reference = references[mention.installable]
            # The address of a registry may begin as a list does.
            quote = "'" if mention.is_plain and reference.startswith("[") else ""
            pieces += text[done : mention.start], quote, reference, quote
            done = mention.end
        return "".join((*pieces, text[done:])).encode()


def read_mentions(data: bytes, path: str) -> MentionsText:
    """Find the images that a file mentions; any number of YAML documents, or JSON, in UTF-8.

    Raises `ConfigError` with line and column when it is no YAML.
    """
    mentions, left = [], []
    try:
        text = _split(data)[1]
        for event, is_value in scalars(_PAIR_OF_SURROGATES.sub(r"\\ufffd\\ufffd", text), path):
            if SCHEME not in event.value:
                continue
            scalar = _scalar(event, is_value=is_value)
            if scalar.is_value and (mention := _mention(scalar, text, path)):
                mentions.append(mention)
            else:
                left.append(_left(scalar, text, path))
    except UNREADABLE as err:
        raise unreadable(err, data, path) from err
    return MentionsText(path, data, tuple(mentions), tuple(left))


def distinct(texts: Iterable[MentionsText]) -> tuple[Mention, ...]:
    """What is mentioned, each installable where it comes first."""
    found: dict[str, Mention] = {}
    for mention in chain.from_iterable(text.mentions for text in texts):
        found.setdefault(mention.installable, mention)
    return tuple(found.values())


_PAIR_OF_SURROGATES = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..")
"""How JSON writes a character beyond U+FFFF, and YAML does not; it is read as as many others."""


def _split(data: bytes) -> tuple[str, str]:
    """What marks the beginning as Unicode, and the text behind it."""
    text = data.decode()
    rest = text.lstrip(_BOM)
    return text[: len(text) - len(rest)], rest


class _Scalar(Struct, frozen=True):
    """A scalar that has the scheme in it."""

    value: str
    style: str | None
    """`'`, `"`, `|` or `>`."""
    start: int
    """Where it begins in the text, with its anchor and tag."""
    end: int
    line: int
    column: int
    is_value: bool
    """Whether it is no key, and in none."""

    def begins(self, text: str) -> int:
        """Where it begins without anchor and tag, and without the header of a block."""
        found = _PROPERTIES.match(text, self.start, self.end)
        assert found is not None  # it also matches nothing
        header = _BLOCK_HEADER.match(text, found.end()) if self.is_block else None
        return (header or found).end()

    @property
    def is_block(self) -> bool:
        return self.style in ("|", ">")


_PROPERTIES = re.compile(r"(?:[&!]\S*(?:\s|#[^\r\n]*)+)*")
_BLOCK_HEADER = re.compile(r"[|>][^\r\n\x85\u2028\u2029]*")


def _scalar(event: yaml.ScalarEvent, *, is_value: bool) -> _Scalar:
    start, end = event.start_mark, event.end_mark
    assert start is not None
    assert end is not None
    return _Scalar(event.value, event.style, start.index, end.index, *place(event), is_value)


def _mention(scalar: _Scalar, text: str, path: str) -> Mention | None:
    """What a scalar mentions, if it is nothing else; a block may have line breaks around it."""
    value = scalar.value.strip("\n") if scalar.is_block else scalar.value
    if not value.startswith(SCHEME) or value.count(SCHEME) > 1 or re.search(r"\s", value):
        return None
    start, end = scalar.begins(text), scalar.end
    if scalar.is_block:
        start = text.index(value, start)
        end = start + len(value)
    elif scalar.style:
        start, end = start + 1, end - 1
    where = f"{path}:{scalar.line}:{scalar.column}"
    return Mention(value.removeprefix(SCHEME), where, start, end, not scalar.style)


def _left(scalar: _Scalar, text: str, path: str) -> str:
    """What is said of a scalar that stays as it is; of a block, the line within it."""
    at = text.find(SCHEME, scalar.begins(text), scalar.end)
    line = scalar.line + text.count("\n", scalar.start, max(at, scalar.start))
    why = "it is part of a longer text" if scalar.is_value else "it is a key, or in one"
    return f"{path}:{line}: {SCHEME} stays as it is: {why}"
