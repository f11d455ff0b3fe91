"""What a wrapper does, as values: operations on the environment, and how the program is started.

All text is bytes, as the kernel has it. Each operation on a variable has `result`, the value that
it gives the variable, from the old one (None where it is unset). The launcher is held to them and
to bash. The hard part is that they mean what *bash* does with the lines that makeWrapper writes,
down to a separator that survives at the end of a value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from msgspec import Struct

_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")


class _Value(Struct, frozen=True):
    name: bytes
    value: bytes

    def __post_init__(self) -> None:
        _check(self.name, self.value)


class Set(_Value, frozen=True):
    """`export NAME='value'`: whatever the caller gave."""

    def result(self, _old: bytes | None) -> bytes:
        return self.value


class Default(_Value, frozen=True):
    """`export NAME=${NAME-'value'}`: only where the caller gave none; an empty value is one."""

    def result(self, old: bytes | None) -> bytes:
        return self.value if old is None else old


class Preset(Default, frozen=True):
    """What the wrapper's bash itself gives a variable that the environment lacks.

    bash makes it a variable of its own and does not export it, so it counts only where another
    operation reads the name: `preset` puts it before the first one that does. There it has the
    effect of `Default`.
    """


class Unset(Struct, frozen=True):
    """`unset NAME`."""

    name: bytes

    def __post_init__(self) -> None:
        _check(self.name)


class _Element(Struct, frozen=True):
    name: bytes
    separator: bytes
    value: bytes

    def __post_init__(self) -> None:
        _check(self.name, self.separator, self.value)
        if not self.separator:
            raise ValueError(f"the separator of {self.name.decode()} is empty")

    def framed(self, old: bytes | None) -> bytes:
        return self.separator + old + self.separator if old else b""

    def bare(self, framed: bytes) -> bytes:
        return framed.removeprefix(self.separator).removesuffix(self.separator)


class Prefix(_Element, frozen=True):
    """The six-line block of makeWrapper since 2021, for one element.

    The element goes to the front, its first earlier occurrence goes away. The separator is not
    empty.
    """

    def result(self, old: bytes | None) -> bytes:
        mark = self.separator
        rest = self.framed(old).replace(mark + self.value + mark, mark, 1)
        return self.bare(self.value + rest)


class Suffix(_Element, frozen=True):
    """The eight-line block of makeWrapper since 2021, for one element.

    The element goes to the end, unless it is there: then it stays where it is. The separator is
    not empty.
    """

    def result(self, old: bytes | None) -> bytes:
        framed = self.framed(old)
        there = self.separator + self.value + self.separator in framed
        return self.bare(framed if there else framed + self.value)


class _Whole(Struct, frozen=True):
    name: bytes
    separator: bytes
    value: bytes

    def __post_init__(self) -> None:
        _check(self.name, self.separator, self.value)


class PrefixWhole(_Whole, frozen=True):
    """`export NAME='value'${NAME:+':'}$NAME`, until 2021: the text as it is, nothing removed."""

    def result(self, old: bytes | None) -> bytes:
        return self.value + self.separator + old if old else self.value


class SuffixWhole(_Whole, frozen=True):
    """`export NAME=$NAME${NAME:+':'}'value'`, until 2021: the text as it is, nothing removed."""

    def result(self, old: bytes | None) -> bytes:
        return old + self.separator + self.value if old else self.value


class _Text(Struct, frozen=True):
    name: bytes
    text: bytes

    def __post_init__(self) -> None:
        _check(self.name, self.text)


class Prepend(_Text, frozen=True):
    """`export NAME="text$NAME"`: plain concatenation, an unset variable counts as empty.

    Under `set -o nounset` bash ends with an error there instead; put a `Preset` before it, or
    refuse the script.
    """

    def result(self, old: bytes | None) -> bytes:
        return self.text + (old or b"")


class Append(_Text, frozen=True):
    """`export NAME="${NAME}text"`: see `Prepend`."""

    def result(self, old: bytes | None) -> bytes:
        return (old or b"") + self.text


class Chdir(Struct, frozen=True):
    """`cd 'directory'` under errexit: exit status 1 when it cannot be entered.

    PWD becomes `normal_directory(directory)`, OLDPWD the directory before. The directory is
    absolute and has no `..`, which bash resolves by what is on the disk.
    """

    directory: bytes

    def __post_init__(self) -> None:
        _check_text(self.directory)
        normal_directory(self.directory)


Op = (
    Set | Default | Preset | Unset | Prefix | Suffix | PrefixWhole | SuffixWhole | Prepend | Append
    | Chdir
)  # fmt: skip


class Argv0(Enum):
    """Where `argv[0]` of the program comes from; a literal is given as bytes instead."""

    TARGET = "the target's path: no -a"
    EXECFN = 'the path by which the wrapper was run: -a "$0"'


class Launch(Struct, frozen=True):
    """A whole wrapper: the operations in their order, then `exec` of the target.

    `target` is an absolute path. `before` and `after` are whole words that go before and after
    the caller's arguments.
    """

    target: bytes
    ops: tuple[Op, ...] = ()
    argv0: Argv0 | bytes = Argv0.TARGET
    before: tuple[bytes, ...] = ()
    after: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        literal = (self.argv0,) if isinstance(self.argv0, bytes) else ()
        _check_text(self.target, *literal, *self.before, *self.after)
        if not self.target.startswith(b"/"):
            raise ValueError(f"the target {self.target!r} is not an absolute path")


def preset(ops: Sequence[Op], name: bytes, value: bytes) -> tuple[Op, ...]:
    """`ops` with a `Preset` before the first of them that reads the variable, if one does.

    A `Set` or `Unset` that comes first makes bash's own value irrelevant.
    """
    for at, op in enumerate(ops):
        if isinstance(op, Chdir) or op.name != name:
            continue
        if isinstance(op, Set | Unset):
            break
        return (*ops[:at], Preset(name, value), *ops[at:])
    return tuple(ops)


def normal_directory(directory: bytes) -> bytes:
    """The directory as bash writes it to PWD: no `.`, no double or trailing slash.

    Two slashes at the start stay two, as POSIX has it. Raises `ValueError` for a directory that
    is not absolute or has a `..`.
    """
    parts = directory.split(b"/")
    if parts[0] or len(parts) == 1:
        raise ValueError(f"the directory {directory!r} is not absolute")
    if b".." in parts:
        raise ValueError(f"the directory {directory!r} has a '..'")
    double = directory.startswith(b"//") and not directory.startswith(b"///")
    return (b"//" if double else b"/") + b"/".join(p for p in parts if p not in (b"", b"."))


def _check(name: bytes, *texts: bytes) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a variable")
    _check_text(*texts)


def _check_text(*texts: bytes) -> None:
    for text in texts:
        if b"\0" in text:
            raise ValueError(f"{text!r} holds a NUL byte")
