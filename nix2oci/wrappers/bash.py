"""bash's lexical rules, as far as text is literal: what a word means, whatever the environment.

A word is read into pieces, each a kind of quoting and the bytes that it stands for, and written
out of them again. What bash would expand, split or match against file names is no piece. The rules
hold in the C locale and in any with UTF-8; text that they read differently is no piece either.
"""

from __future__ import annotations

import re
from enum import Enum

from msgspec import Struct

# Control characters have no place in a text that a person or ${v@Q} wrote, except in $'…'.
_SINGLE = r"[^'\x00-\x08\x0a-\x1f\x7f]*+"
_ANSI = r"(?:[^'\\\x00-\x1f\x7f]|\\[abtnvfrE'\\]|\\[0-3][0-7]{2})*+"

DOUBLE_QUOTED = r'[^"$`\\\x00-\x08\x0a-\x1f\x7f]*+'
"""Pattern of what stays as it is between double quotes."""

WORD = (
    r"(?:"
    r"[A-Za-z0-9_@%+=:,./-]++"
    rf"|'{_SINGLE}'"
    rf"|\$'{_ANSI}'"
    rf'|"{DOUBLE_QUOTED}"'
    r"|\\[\x20-\x7e\t]"
    r")*+"
)
"""Pattern of a literal word, perhaps of no piece at all."""

_PIECE = re.compile(
    r"(?P<BARE>[A-Za-z0-9_@%+=:,./-]++)"
    rf"|'(?P<SINGLE>{_SINGLE})'"
    rf"|\$'(?P<ANSI>{_ANSI})'"
    rf'|"(?P<DOUBLE>{DOUBLE_QUOTED})"'
    r"|\\(?P<ESCAPED>[\x20-\x7e\t])".encode("latin-1")
)
_ESCAPE = re.compile(rb"\\([abtnvfrE'\\]|[0-7]{3})")
_MEANINGS = {
    b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b"E": 27, b"'": 39, b"\\": 92
}  # fmt: skip
_ESCAPES = {meaning: b"\\" + letter for letter, meaning in _MEANINGS.items()}


class Quoting(Enum):
    """How a piece of a word is written."""

    BARE = "no quotes"
    SINGLE = "'…'"
    DOUBLE = '"…"'
    ESCAPED = "a backslash and one character"
    ANSI = "$'…' with all that is not ASCII as octal digits"
    ANSI_UTF8 = "$'…' with UTF-8 as it is"


class Piece(Struct, frozen=True):
    """A part of a word: `text` is how it is written, `value` what it means."""

    quoting: Quoting
    value: bytes

    @property
    def text(self) -> bytes:
        match self.quoting:
            case Quoting.BARE:
                return self.value
            case Quoting.SINGLE:
                return b"'" + self.value + b"'"
            case Quoting.DOUBLE:
                return b'"' + self.value + b'"'
            case Quoting.ESCAPED:
                return b"\\" + self.value
            case Quoting.ANSI | Quoting.ANSI_UTF8:
                return _ansi(self.value, utf8=self.quoting is Quoting.ANSI_UTF8)


class Word(Struct, frozen=True):
    """A literal word: `text` is how it is written, `value` what it means."""

    pieces: tuple[Piece, ...]

    @property
    def text(self) -> bytes:
        return b"".join(piece.text for piece in self.pieces)

    @property
    def value(self) -> bytes:
        return b"".join(piece.value for piece in self.pieces)

    @property
    def is_bare(self) -> bool:
        return all(piece.quoting is Quoting.BARE for piece in self.pieces)

    @property
    def is_double(self) -> bool:
        return [piece.quoting for piece in self.pieces] == [Quoting.DOUBLE]

    @property
    def is_quoted(self) -> bool:
        """Whether it is what bash writes for `${v@Q}` in the C locale or in one with UTF-8."""
        return self.text in (quote(self.value), quote(self.value, utf8=True))


def word(text: bytes) -> Word | None:
    """The literal word that the whole text is; None where it is none, or another spelling of one.

    `word(text).text == text`.
    """
    pieces = []
    at = 0
    while at < len(text):
        found = _PIECE.match(text, at)
        piece = _piece(found) if found else None
        if found is None or piece is None:
            return None
        pieces.append(piece)
        at = found.end()
    result = Word(tuple(pieces))
    return result if result.text == text and is_utf8(text) else None


def quote(text: bytes, *, utf8: bool = False) -> bytes:
    """`${v@Q}` of bash (subst.c, sh_quote_reusable), in the C locale or in one with UTF-8.

    In the latter what is no character stays octal; characters that cannot be printed do not, as
    they do in bash.
    """
    if text == b"'":
        return b"\\'"
    if all(0x20 <= byte < 0x7F for byte in text) or (utf8 and _is_plain_utf8(text)):
        return b"'" + text.replace(b"'", rb"'\''") + b"'"
    return _ansi(text, utf8=utf8)


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _piece(found: re.Match[bytes]) -> Piece | None:
    kind = found.lastgroup
    assert kind is not None
    text = found[kind]
    if kind != "ANSI":
        return Piece(Quoting[kind], text)
    value = _ESCAPE.sub(_meaning, text)
    quoting = Quoting.ANSI if text.isascii() else Quoting.ANSI_UTF8
    return None if b"\0" in value else Piece(quoting, value)


def _meaning(found: re.Match[bytes]) -> bytes:
    letter = found[1]
    return bytes((_MEANINGS[letter] if letter in _MEANINGS else int(letter, 8),))


def _ansi(text: bytes, *, utf8: bool) -> bytes:
    """`$'…'`, as bash writes it (lib/sh/strtrans.c, ansic_quote)."""
    if utf8:
        kept = text.decode("utf-8", "surrogateescape")
        parts = (c.encode() if c >= "\x80" and not _is_stray(c) else _octals(c) for c in kept)
        return b"$'" + b"".join(parts) + b"'"
    return b"$'" + b"".join(map(_byte, text)) + b"'"


def _is_stray(character: str) -> bool:
    return "\udc80" <= character <= "\udcff"


def _octals(character: str) -> bytes:
    return b"".join(map(_byte, character.encode("utf-8", "surrogateescape")))


def _byte(byte: int) -> bytes:
    if byte in _ESCAPES:
        return _ESCAPES[byte]
    return bytes((byte,)) if 0x20 <= byte < 0x7F else b"\\%03o" % byte


def _is_plain_utf8(text: bytes) -> bool:
    return is_utf8(text) and all(byte >= 0x20 and byte != 0x7F for byte in text)
