"""A package that a file names, and the files that are small enough to be read as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

from msgspec import Struct

from nix2oci.text import printable

MOST = 8 << 20
"""Bytes of a file of words; what is larger names no package."""

_LONGEST = 1000
"""Characters of a name, a version or a licence."""


class Found(Struct, frozen=True, order=True):
    """As `components.LanguagePackage`, but for its file."""

    kind: str
    name: str
    version: str
    license: str = ""


Reader = Callable[[IO[bytes], str], list[Found]]
"""Reads a file that can be sought in, by its name; what it does not understand gives no package.

Raises `OSError` for what cannot be read.
"""


def clean(text: object) -> str:
    """Text that others wrote, in one line that any document can have; empty for anything else."""
    if not isinstance(text, str) or len(text) > _LONGEST:
        return ""
    return printable(text.strip())


def whole(file: IO[bytes]) -> str:
    """A file as text; empty for one that is too large."""
    data = file.read(MOST + 1)
    return data.decode("utf-8", "replace") if len(data) <= MOST else ""
