"""The last statement of a wrapper script: `exec`, the program, and `"$@"` among literal words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from msgspec import Struct

from nix2oci.wrappers import bash
from nix2oci.wrappers.bash import Word
from nix2oci.wrappers.operations import Argv0
from nix2oci.wrappers.refusal import Reason, RefusedError
from nix2oci.wrappers.spellings import NO_FORM, Form, Forms

# A line that ends in a backslash goes on in the next one; without a blank the words would join.
_GAP = re.compile(rb"(?:\\\n)*+[ \t](?:[ \t]|\\\n)*+")
_END = re.compile(rb"(?:[ \t]|\\\n)*+\Z")
_WORD = re.compile(rf"{bash.WORD}(?=[ \t]|\\\n|\Z)".encode("latin-1"))


class Special(Enum):
    """What the shell expands in this line, in the only spelling that is understood."""

    ARGUMENTS = b'"$@"'
    NAME = b'"$0"'
    EXTRA = b'"${extraFlagsArray[@]}"'

    @property
    def text(self) -> bytes:
        return self.value


class Literal(Struct, frozen=True):
    """A literal word of the line, with the blanks before it."""

    gap: bytes
    word: Word

    @property
    def text(self) -> bytes:
        return self.gap + self.word.text


class Expanded(Struct, frozen=True):
    """A word that the shell expands, with the blanks before it."""

    gap: bytes
    special: Special

    @property
    def text(self) -> bytes:
        return self.gap + self.special.text


Token = Literal | Expanded


class Exec(Struct, frozen=True):
    """`exec [-a NAME] TARGET BEFORE… ["${extraFlagsArray[@]}"] "$@" AFTER…`.

    `option` is the `-a`, `name` what follows it, `trailing` the blanks at the end.
    """

    option: Literal | None
    name: Token | None
    target: Literal
    before: tuple[Literal, ...]
    extra: Expanded | None
    arguments: Expanded
    after: tuple[Literal, ...]
    trailing: bytes

    @property
    def effect(self) -> None:
        return None

    @property
    def text(self) -> bytes:
        named = (self.option, self.name, self.target)
        tokens = (*named, *self.before, self.extra, self.arguments, *self.after)
        return b"exec" + b"".join(token.text for token in tokens if token) + self.trailing

    @property
    def argv0(self) -> Argv0 | bytes:
        match self.name:
            case None:
                return Argv0.TARGET
            case Expanded():
                return Argv0.EXECFN
            case literal:
                return literal.word.value

    @property
    def forms(self) -> Forms:
        """The generations of makeWrapper that lay the line out so."""
        gaps = [token.gap for token in (*self.before, self.extra, self.arguments) if token]
        named = [token for token in (self.option, self.name, self.target) if token]
        if any(token.gap != b" " for token in named) or (len(gaps) > 1 and gaps[-1] != b" "):
            return NO_FORM
        if isinstance(self.name, Literal) and not self.name.word.is_double:
            return NO_FORM
        if self.target.word.is_bare:
            plain = gaps[0] == b" " and not self.after and not self.trailing
            return frozenset((Form.F0,)) if self.extra and plain else NO_FORM
        if not self.target.word.is_double or gaps[0] != b"  ":
            return NO_FORM
        return self._double_quoted_forms()

    def _double_quoted_forms(self) -> Forms:
        if not self.after and not self.trailing:
            return frozenset((Form.F1, Form.F2) if self.extra else (Form.F3, Form.F4))
        in_line = (
            self.after[0].gap == b"  " and not self.trailing
            if self.after
            else self.trailing == b" "
        )
        if self.extra or not in_line:
            return NO_FORM
        flags = (*self.before, *self.after)
        quoted = bool(flags) and all(flag.word.is_quoted for flag in flags)
        return frozenset((Form.F4, Form.F5) if quoted else (Form.F4,))


def read_exec(lines: Sequence[bytes]) -> Exec:
    """The statement that the lines begin with. Raises `RefusedError`."""
    count = 1
    while count < len(lines) and lines[count - 1].endswith(b"\\"):
        count += 1
    text = b"\n".join(lines[:count])
    tokens, trailing = _tokens(text, len(b"exec"))
    result = _exec(tokens, trailing)
    if result.text != text:
        raise RefusedError(Reason.ROUND_TRIP)
    return result


def _tokens(text: bytes, at: int) -> tuple[list[Token], bytes]:
    tokens: list[Token] = []
    while not _END.match(text, at):
        gap = _GAP.match(text, at)
        if gap is None:
            raise _unreadable(tokens, text[at:])
        token = _token(text, gap)
        if token is None:
            raise _unreadable(tokens, text[gap.end() :])
        tokens.append(token)
        at += len(token.text)
    return tokens, text[at:]


def _token(text: bytes, gap: re.Match[bytes]) -> Token | None:
    at = gap.end()
    for special in Special:
        after = at + len(special.text)
        if text.startswith(special.text, at) and text[after : after + 1] in (
            b"",
            b" ",
            b"\t",
            b"\\",
        ):
            return Expanded(gap[0], special)
    found = _WORD.match(text, at)
    word = bash.word(found[0]) if found else None
    return Literal(gap[0], word) if word and word.pieces else None


def _unreadable(tokens: Sequence[Token], rest: bytes) -> RefusedError:
    if any(isinstance(token, Literal) and token.word.value[:1] == b"/" for token in tokens):
        return RefusedError(Reason.FLAGS_NOT_LITERAL)
    if re.match(rb"[^ \t\n]*[$`]", rest):
        return RefusedError(Reason.EXPANSION_IN_QUOTES)
    return RefusedError(Reason.TARGET_NOT_ABSOLUTE)


def _exec(tokens: Sequence[Token], trailing: bytes) -> Exec:
    option, name, rest = _name(tokens)
    target = rest[0] if rest else None
    if not isinstance(target, Literal):
        raise RefusedError(Reason.TARGET_NOT_ABSOLUTE)
    _check_target(target.word.value)
    specials = [(at, token) for at, token in enumerate(rest) if isinstance(token, Expanded)]
    arguments = specials.pop() if specials else None
    if arguments is None or arguments[1].special is not Special.ARGUMENTS:
        raise RefusedError(Reason.FLAGS_NOT_LITERAL)
    at = arguments[0]
    extra = specials.pop()[1] if specials and specials[-1][0] == at - 1 else None
    if specials or (extra and extra.special is not Special.EXTRA):
        raise RefusedError(Reason.FLAGS_NOT_LITERAL)
    before = _literals(rest[1 : at - 1 if extra else at])
    after = _literals(rest[at + 1 :])
    return Exec(option, name, target, before, extra, arguments[1], after, trailing)


def _name(tokens: Sequence[Token]) -> tuple[Literal | None, Token | None, Sequence[Token]]:
    """The `-a`, what follows it, and the rest."""
    option = tokens[0] if tokens else None
    if not isinstance(option, Literal) or option.word.text != b"-a" or len(tokens) < 2:
        return None, None, tokens
    name = tokens[1]
    if isinstance(name, Expanded) and name.special is not Special.NAME:
        raise RefusedError(Reason.EXPANSION_IN_QUOTES)
    return option, name, tokens[2:]


def _check_target(target: bytes) -> None:
    """A whole path, or a bare name that has yet to be found."""
    if target.startswith(b"-"):
        raise RefusedError(Reason.TARGET_NOT_ABSOLUTE, "exec has an option other than -a")
    if not target or (b"/" in target and not target.startswith(b"/")):
        raise RefusedError(Reason.TARGET_NOT_ABSOLUTE)


def _literals(tokens: Sequence[Token]) -> tuple[Literal, ...]:
    return tuple(token for token in tokens if isinstance(token, Literal))
