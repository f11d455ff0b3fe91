"""The statements of a wrapper script, of one line or of several, in the order of the file.

Every statement is read into values and written out of them again. It counts only where that gives
the same bytes; the rest of the project never sees the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar, TypeVar

from msgspec import Struct

from nix2oci.wrappers import bash
from nix2oci.wrappers.bash import Word
from nix2oci.wrappers.exec_line import Exec, read_exec
from nix2oci.wrappers.operations import Prefix, Set, Suffix, Unset
from nix2oci.wrappers.refusal import Reason, RefusedError
from nix2oci.wrappers.spellings import BLOCKS, NAME, NO_FORM, Effect, Forms, Line, read_line

_REMARK = re.compile(rb"[ \t]*+(#.*)?")
_FRAME = re.compile(rf"(?P<V>{NAME})=\$\{{(?P=V):\+(?P<rest>.*)\}}".encode())
_ASSIGNMENT = re.compile(rf"(?P<V>{NAME})=(?P<L>{bash.WORD})".encode("latin-1"))
_ARRAY = re.compile(rf"declare -(?P<kind>[aA]) (?P<V>{NAME})=\((?P<list>.*)\)".encode())
_ENTRY = re.compile(rf"(?:\[(?P<key>{bash.WORD})\]=)?(?P<L>{bash.WORD})(?= |\Z)".encode("latin-1"))

_KEY = re.compile(rb"[A-Za-z0-9_.-]+")  # an empty one is an error

_ERREXIT, _NOUNSET = "errexit", "nounset"
_SWITCHES = {
    b"set -e": (_ERREXIT,),
    b"set -u": (_NOUNSET,),
    b"set -eu": (_ERREXIT, _NOUNSET),
    b"set -ue": (_ERREXIT, _NOUNSET),
    b"set -eo pipefail": (_ERREXIT,),
    b"set -euo pipefail": (_ERREXIT, _NOUNSET),
    b"set -o errexit": (_ERREXIT,),
    b"set -o nounset": (_NOUNSET,),
    b"set -o pipefail": (),
}


class Remark(Struct, frozen=True):
    """An empty line or a comment."""

    text: bytes

    forms: ClassVar[Forms] = NO_FORM
    effect: ClassVar[None] = None


class Switch(Struct, frozen=True):
    """`set -o errexit` and the like."""

    text: bytes

    forms: ClassVar[Forms] = NO_FORM
    effect: ClassVar[None] = None

    @property
    def errexit(self) -> bool:
        return _ERREXIT in _SWITCHES[self.text]

    @property
    def nounset(self) -> bool:
        return _NOUNSET in _SWITCHES[self.text]


class Block(Struct, frozen=True):
    """What makeWrapper has written since 2021 for an element of a list, at its front or end."""

    name: bytes
    separator: Word
    value: Word
    in_front: bool

    @property
    def text(self) -> bytes:
        v, s, x = self.name, self.separator.text, self.value.text
        if self.in_front:
            middle = [b"%b=${%b/%b%b%b/%b}" % (v, v, s, x, s, s), b"%b=%b$%b" % (v, x, v)]
        else:
            test = b"if [[ $%b != *%b%b%b* ]]; then" % (v, s, x, s)
            middle = [test, b"    %b=$%b%b" % (v, v, x), b"fi"]
        head = b"%b=${%b:+%b$%b%b}" % (v, v, s, v, s)
        tail = [b"%b=${%b#%b}" % (v, v, s), b"%b=${%b%%%b}" % (v, v, s), b"export " + v]
        return b"\n".join([head, *middle, *tail])

    @property
    def effect(self) -> Effect:
        element = Prefix if self.in_front else Suffix
        return Effect(element(self.name, self.separator.value, self.value.value))

    @property
    def forms(self) -> Forms:
        return BLOCKS


class Assignment(Struct, frozen=True):
    """`NAME='value'` and, in the next line, `export NAME`, as lib.toShellVar has it."""

    name: bytes
    value: Word

    forms: ClassVar[Forms] = NO_FORM

    @property
    def text(self) -> bytes:
        return b"%b=%b\nexport %b" % (self.name, self.value.text, self.name)

    @property
    def effect(self) -> Effect:
        return Effect(Set(self.name, self.value.value))


class Array(Struct, frozen=True):
    """`declare -a NAME=('a' 'b')` or `-A NAME=(['k']='v')`, then `export NAME`.

    An entry is a key, if it has one, and a value.
    """

    name: bytes
    associative: bool
    entries: tuple[tuple[Word | None, Word], ...]

    forms: ClassVar[Forms] = NO_FORM

    @property
    def text(self) -> bytes:
        entries = (
            value.text if key is None else b"[%b]=%b" % (key.text, value.text)
            for key, value in self.entries
        )
        kind = b"A" if self.associative else b"a"
        listed = b" ".join(entries)
        return b"declare -%b %b=(%b)\nexport %b" % (kind, self.name, listed, self.name)

    @property
    def effect(self) -> Effect:
        return Effect(Unset(self.name), is_array=True)


Statement = Remark | Switch | Block | Assignment | Array | Line | Exec
S = TypeVar("S", Block, Assignment, Array)


def read_statements(lines: Sequence[bytes]) -> Iterator[Statement]:
    """The statements that the lines are, one at a time: each takes as many lines as its text has.

    One is an `Exec`, after which there are empty lines alone. Raises `RefusedError` where the next
    statement would begin.
    """
    at = 0
    while at < len(lines):
        statement = _statement(lines, at)
        yield statement
        at += statement.text.count(b"\n") + 1
        if isinstance(statement, Exec):
            if any(lines[at:]):
                raise RefusedError(Reason.TEXT_AFTER_EXEC)
            yield from map(Remark, lines[at:])
            return
    raise RefusedError(Reason.TEXT_AFTER_EXEC, "no line starts the program by exec")


def _statement(lines: Sequence[bytes], at: int) -> Statement:
    line = lines[at]
    if _REMARK.fullmatch(line):
        return Remark(line)
    if line in _SWITCHES:
        return Switch(line)
    if line == b"exec" or line.startswith((b"exec ", b"exec\t")):
        return read_exec(lines[at:])
    for reader in (_block, _assignment, _array):
        statement = reader(lines, at)
        if statement is not None:
            return statement
    known = read_line(line)
    if known is None:
        raise _unknown(line)
    return known


def _unknown(line: bytes) -> RefusedError:
    """Why a line cannot be read, as nearly as can be told."""
    if re.match(rb"(export|cd|unset) .*[$`]", line):
        return RefusedError(Reason.EXPANSION_IN_QUOTES)
    if re.match(rb"(export|cd|unset) ", line):
        return RefusedError(Reason.ROUND_TRIP)
    return RefusedError(Reason.RUN_LINE)


def _block(lines: Sequence[bytes], at: int) -> Block | None:
    found = _FRAME.fullmatch(lines[at])
    if found is None:
        return None
    name, rest = found["V"], found["rest"]
    separator = bash.word(rest[: (len(rest) - len(name) - 1) // 2])
    second, third = (*lines[at + 1 : at + 3], b"", b"")[:2]
    in_front = second.startswith(name + b"=${" + name + b"/")
    if in_front:
        value = bash.word(third.removeprefix(name + b"=").removesuffix(b"$" + name))
    else:
        value = bash.word(third.removeprefix(b"    " + name + b"=$" + name))
    if not separator or not value or not separator.is_quoted or not value.is_quoted:
        raise RefusedError(Reason.ROUND_TRIP)
    if not separator.value:
        raise RefusedError(Reason.ROUND_TRIP, "the list has no separator")
    return _same(Block(name, separator, value, in_front), lines, at)


def _assignment(lines: Sequence[bytes], at: int) -> Assignment | None:
    found = _ASSIGNMENT.fullmatch(lines[at])
    value = bash.word(found["L"]) if found else None
    if found is None or value is None:
        return None
    if lines[at + 1 : at + 2] != [b"export " + found["V"]]:
        raise RefusedError(Reason.RUN_LINE, "the variable is not exported")
    return _same(Assignment(found["V"], value), lines, at)


def _array(lines: Sequence[bytes], at: int) -> Array | None:
    found = _ARRAY.fullmatch(lines[at])
    if found is None:
        return None
    array = Array(found["V"], found["kind"] == b"A", tuple(_entries(found["list"])))
    keys = [key for key, _ in array.entries]
    if any((key is None) is array.associative for key in keys):
        raise RefusedError(Reason.ROUND_TRIP)
    if any(key and not _KEY.fullmatch(key.value) for key in keys):
        raise RefusedError(Reason.ROUND_TRIP, "bash may not take the key")
    return _same(array, lines, at)


def _entries(text: bytes) -> Iterator[tuple[Word | None, Word]]:
    at = 0
    while at < len(text):
        found = _ENTRY.match(text, at)
        key = bash.word(found["key"]) if found and found["key"] is not None else None
        value = bash.word(found["L"]) if found else None
        if found is None or not value or not value.pieces:
            raise RefusedError(Reason.ROUND_TRIP)
        yield key, value
        at = found.end() + 1


def _same(statement: S, lines: Sequence[bytes], at: int) -> S:
    """The statement, if it is what the lines say."""
    own: list[bytes] = statement.text.split(b"\n")
    given = (*lines[at : at + len(own)], *(None for _ in own))
    different = [offset for offset, line in enumerate(own) if line != given[offset]]
    if different:
        raise RefusedError(Reason.ROUND_TRIP, offset=different[0])
    return statement
