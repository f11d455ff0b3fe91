"""One-line statements of wrapper scripts: a table of the ways to write each operation.

A line is read into the parts of a template and written out of them again. It counts only where
that gives the same bytes, so what is not in the table is not understood.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from functools import cached_property

from msgspec import Struct

from nix2oci.wrappers import bash
from nix2oci.wrappers.bash import Word
from nix2oci.wrappers.operations import (
    Append,
    Chdir,
    Default,
    Op,
    PrefixWhole,
    Prepend,
    Set,
    SuffixWhole,
    Unset,
)


class Form(Enum):
    """Who wrote a script, as far as its text tells; the value explains it."""

    F0 = "makeWrapper until 2016: values as they are"
    F1 = "makeWrapper of 2016 and 2017: values in double quotes"
    F2 = "makeWrapper of 2017 to 2020: values quoted by bash"
    F3 = "makeWrapper of 2020 and 2021: as before, without extraFlagsArray"
    F4 = "makeWrapper since 2021: one block for each element of a list"
    F5 = "makeWrapper since 2025: as before, with arguments quoted by bash"
    SCRIPT = "writeShellScript"
    APPLICATION = "writeShellApplication"
    TIER2 = "a script of its own that sets variables and ends in exec"


MAKE_WRAPPER = (Form.F0, Form.F1, Form.F2, Form.F3, Form.F4, Form.F5)
"""The generations of makeWrapper, oldest first."""

Forms = frozenset[Form]

NO_FORM: Forms = frozenset()
BLOCKS: Forms = frozenset((Form.F4, Form.F5))
WHOLE: Forms = frozenset((Form.F2, Form.F3))
QUOTED: Forms = BLOCKS | WHOLE

NAME = "[A-Za-z_][A-Za-z0-9_]*+"
"""Pattern of a variable's name."""

_SLOT = re.compile("<([VLSTJ])>")
_SLOTS = {
    "V": NAME,
    "L": bash.WORD,
    "S": bash.WORD,
    "T": bash.DOUBLE_QUOTED,
    "J": r"""[^"'}$`\\\x00-\x1f\x7f]*+""",
}


class Effect(Struct, frozen=True):
    """What a statement means, and what it takes for granted.

    `reads_plainly` tells that an unset variable would end the script under nounset. An array is
    never exported, and takes the variable of its name out of the environment.
    """

    op: Op
    reads_plainly: bool = False
    is_array: bool = False


class Spelling(Struct, frozen=True, dict=True):
    """One way to write an operation.

    In the template `<V>` is the variable, `<L>` and `<S>` are literal words, `<T>` and `<J>` text
    between double quotes, `<J>` within braces too. `build` takes them in the order in which the
    template has them first. `forms` are the generators that write it, by how they quote `<L>`.
    """

    template: str
    build: Callable[..., Op]
    reads_plainly: bool = False
    bare: Forms = NO_FORM
    double: Forms = NO_FORM
    quoted: Forms = NO_FORM

    @cached_property
    def start(self) -> bytes:
        """What each line begins with: most others need no pattern, which takes long to make."""
        return self.template.partition("<")[0].encode()

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        pieces = _SLOT.split(self.template)
        pattern = re.escape(pieces[0])
        for slot, text in zip(pieces[1::2], pieces[2::2], strict=True):
            again = f"(?P<{slot}>" in pattern
            pattern += f"(?P={slot})" if again else f"(?P<{slot}>{_SLOTS[slot]})"
            # What follows $NAME must not read as a longer name.
            pattern += ("(?![A-Za-z0-9_])" if slot == "V" else "") + re.escape(text)
        return re.compile(pattern.encode("latin-1"))

    def write(self, parts: dict[str, bytes]) -> bytes:
        pieces = _SLOT.split(self.template)
        return b"".join(
            parts[piece] if at % 2 else piece.encode() for at, piece in enumerate(pieces)
        )


class Line(Struct, frozen=True):
    """A line that a `Spelling` reads; `parts` in the order of the template."""

    spelling: Spelling
    parts: tuple[tuple[str, bytes | Word], ...]

    @property
    def text(self) -> bytes:
        return self.spelling.write(
            {slot: part.text if isinstance(part, Word) else part for slot, part in self.parts}
        )

    @property
    def effect(self) -> Effect:
        """Raises `ValueError` where the operation cannot be: a directory that is not absolute."""
        values = (part.value if isinstance(part, Word) else part for _, part in self.parts)
        return Effect(self.spelling.build(*values), self.spelling.reads_plainly)

    @property
    def forms(self) -> Forms:
        words = {slot: part for slot, part in self.parts if isinstance(part, Word)}
        if all(word.is_bare for word in words.values()):
            return self.spelling.bare
        if all(word.is_double for word in words.values()):
            return self.spelling.double
        # What --suffix-each and --suffix-contents wrote has a bare separator.
        separator = words.pop("S", None)
        plain = separator is None or separator.is_bare or separator.is_quoted
        is_quoted = plain and all(word.is_quoted for word in words.values())
        return self.spelling.quoted if is_quoted else NO_FORM


def read_line(text: bytes) -> Line | None:
    """The statement that the line is; None where no spelling gives it."""
    if not bash.is_utf8(text):
        return None
    for spelling in _SPELLINGS:
        found = text.startswith(spelling.start) and spelling.pattern.fullmatch(text)
        line = _line(spelling, found) if found else None
        if line is not None and line.text == text:
            return line
    return None


def _line(spelling: Spelling, found: re.Match[bytes]) -> Line | None:
    parts: list[tuple[str, bytes | Word]] = []
    for slot, text in found.groupdict().items():
        part = bash.word(text) if slot in "LS" else text
        if part is None:
            return None
        parts.append((slot, part))
    return Line(spelling, tuple(parts))


def _prefix(name: bytes, value: bytes, separator: bytes) -> Op:
    return PrefixWhole(name, separator, value)


_SINCE_F1 = QUOTED | {Form.F1}
_F0, _F1 = frozenset((Form.F0,)), frozenset((Form.F1,))

_SPELLINGS = (
    Spelling("export <V>=<L>", Set, bare=_F0, double=_F1, quoted=QUOTED),
    Spelling("export <V>=${<V>-<L>}", Default, quoted=QUOTED),
    Spelling("unset <V>", Unset, bare=_SINCE_F1),
    Spelling("cd <L>", Chdir, quoted=BLOCKS),
    Spelling(
        "export <V>=<L>${<V>:+<S>}$<V>",
        _prefix,
        reads_plainly=True,
        bare=_F0 | _F1,
        quoted=WHOLE,
    ),
    Spelling(
        "export <V>=$<V>${<V>:+<S>}<L>",
        SuffixWhole,
        reads_plainly=True,
        bare=_F0 | _F1,
        quoted=WHOLE,
    ),
    Spelling("export <V>=<L>${<V>:+<S>$<V>}", _prefix),
    Spelling("export <V>=${<V>:+$<V><S>}<L>", SuffixWhole),
    Spelling("export <V>=<L>$<V>", Prepend, reads_plainly=True),
    Spelling("export <V>=<L>${<V>}", Prepend, reads_plainly=True),
    Spelling("export <V>=$<V><L>", Append, reads_plainly=True),
    Spelling("export <V>=${<V>}<L>", Append, reads_plainly=True),
    Spelling('export <V>="<T>$<V>"', Prepend, reads_plainly=True),
    Spelling('export <V>="<T>${<V>}"', Prepend, reads_plainly=True),
    Spelling('export <V>="<T>${<V>:-}"', Prepend),
    Spelling('export <V>="<T>${<V>-}"', Prepend),
    Spelling('export <V>="<T>${<V>:+<J>$<V>}"', _prefix),
    Spelling('export <V>="$<V><T>"', Append, reads_plainly=True),
    Spelling('export <V>="${<V>}<T>"', Append, reads_plainly=True),
    Spelling('export <V>="${<V>:-}<T>"', Append),
    Spelling('export <V>="$<V>${<V>:+<J>}<T>"', SuffixWhole, reads_plainly=True),
    Spelling('export <V>="${<V>:+$<V><J>}<T>"', SuffixWhole),
)
