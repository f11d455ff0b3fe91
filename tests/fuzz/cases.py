"""Random wrappers, and random callers for them.

All that is drawn comes from the `Random` that is passed in, so a seed tells a case. Each case has
few names, separators and elements of its own, lest no operation ever meets its element in a
value; beside them there are texts of all bytes but NUL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random  # noqa: TID251 - tests may draw, from a seed
from typing import Self

from fuzz.scripts import OLD_FORMS, Form
from nix2oci.wrappers.operations import (
    Append,
    Argv0,
    Chdir,
    Default,
    Launch,
    Op,
    Prefix,
    PrefixWhole,
    Prepend,
    Set,
    Suffix,
    SuffixWhole,
    Unset,
)

SEPARATORS = (
    b":", b";", b",", b" ", b"\t", b"\n", b"::", b"ab", b"*", b"?", b"[a]", b"\\", b"'", b"&",
    b"#", b"%", b"/", b"$", b"~", b"\xc3\xa9", b"\xa9",
)  # fmt: skip
NAMES = (
    b"PATH", b"V", b"_x9", b"MANPATH", b"LUA_PATH", b"XDG_DATA_DIRS", b"PYTHONNOUSERSITE", b"HOME",
    b"LANG", b"LC_ALL", b"i", b"Path",
)  # fmt: skip
# What bash passes on though it cannot be a variable, and what it does not mind.
OTHER_NAMES = (b"a-b", b"a.b", b"OTHER", b"VV", b"PAT", b"V+", b"TERM", b"USER", b"TMPDIR")
ELEMENTS = (
    b"a",
    b"b",
    b"ab",
    b"abc",
    b"",
    b"/nix/store/x/bin",
    b"~",
    b"*",
    b"-n",
    b"!",
    b"C.UTF-8",
)


@dataclass(frozen=True, slots=True)
class Case:
    """One wrapper and one call of it."""

    launch: Launch
    form: Form
    utf8: bool
    environment: Mapping[bytes, bytes]
    argv: tuple[bytes, ...]
    execfn: bytes  # relative to `directory`, or absolute
    directory: bytes


@dataclass(frozen=True, slots=True)
class Places:
    """Where the cases find their files: the programs and directories that a harness made.

    `directories` are working directories, each with `wrapper` and a link to it in `linked/w`;
    the last may be a symlink to another, so that PWD can name one that getcwd does not.
    """

    targets: tuple[bytes, ...]
    broken_targets: tuple[bytes, ...]
    directories: tuple[bytes, ...]
    broken_directories: tuple[bytes, ...]
    path_preset: bytes


@dataclass(frozen=True, slots=True)
class Words:
    """What a case is made of."""

    random: Random
    names: tuple[bytes, ...]
    separators: tuple[bytes, ...]
    elements: tuple[bytes, ...]

    @classmethod
    def draw(cls, random: Random) -> Self:
        return cls(
            random,
            tuple(random.sample(NAMES, random.choice((1, 2, 4)))),
            tuple(random.sample(SEPARATORS, random.choice((1, 1, 2)))),
            tuple(random.sample(ELEMENTS, 4)),
        )

    def name(self) -> bytes:
        return self.random.choice(self.names)

    def separator(self) -> bytes:
        return self.random.choice(self.separators)

    def element(self) -> bytes:
        """Mostly what makeWrapper makes, which never holds the separator; rarely anything."""
        random = self.random
        return self.text() if random.random() < 0.2 else random.choice(self.elements)

    def text(self) -> bytes:
        random = self.random
        if random.random() < 0.2:
            return hostile(random)
        count = random.choice((0, 1, 2, 3, 4, 6))
        return self.separator().join(random.choice(self.elements) for _ in range(count))

    def plain(self) -> bytes:
        """Text that double quotes keep as it is."""
        return bytes(b for b in self.text() if b not in b'"$`\\\n' and 0x20 <= b < 0x7F)

    def list(self) -> tuple[bytes, ...]:
        return tuple(self.text() for _ in range(self.random.choice((0, 0, 1, 2, 5))))


def draw(random: Random, places: Places) -> Case:
    """The next case. PATH's preset is left to the caller, who knows the bash."""
    words = Words.draw(random)
    form = random.choice((*Form, Form.BLOCKS, Form.BLOCKS))
    broken = random.random() < 0.03
    ops = tuple(_operation(words, form, places) for _ in range(random.choice((0, 1, 2, 3, 8))))
    if random.random() < 0.01:
        ops = (*ops, Chdir(random.choice(places.broken_directories)))
    directory = random.choice(places.directories)
    argv0 = random.choice((Argv0.TARGET, Argv0.EXECFN, Argv0.EXECFN, words.plain()))
    launch = Launch(
        random.choice(places.broken_targets if broken else places.targets),
        ops,
        argv0 or Argv0.TARGET,  # an empty --argv0 leaves no -a
        words.list(),
        words.list() if form is Form.BLOCKS else (),
    )
    return Case(
        launch,
        form,
        random.random() < 0.3,
        _environment(words, places),
        (hostile(random), *words.list()),
        random.choice((b"./wrapper", directory + b"/wrapper", b"linked/w", b".//wrapper")),
        directory,
    )


def hostile(random: Random) -> bytes:
    """Any bytes but NUL, and not the one byte by which the probe marks the end of its words."""
    text = bytes(random.randrange(1, 256) for _ in range(random.choice((0, 1, 2, 5, 30))))
    return b"" if text == b"\xff" else text


def _operation(words: Words, form: Form, places: Places) -> Op:
    random, name, kind = words.random, words.name(), words.random.randrange(12)
    if kind < 2:
        return Set(name, words.text())
    if kind == 2:
        return Default(name, words.text())
    if kind == 3:
        # A later read of PATH would be an error under nounset.
        return Unset(name if form is not Form.APPLICATION or name != b"PATH" else b"V")
    if kind == 4:
        return Chdir(random.choice((b"/.", b"/./", b"//", b"")) + random.choice(places.directories))
    return _joined(words, form, name)


def _joined(words: Words, form: Form, name: bytes) -> Op:
    in_front = words.random.random() < 0.6
    if form is Form.APPLICATION:
        # Another variable may be unset, which nounset makes an error; PATH never is to bash.
        return (Prepend if in_front else Append)(b"PATH", words.plain())
    if form in OLD_FORMS:
        return (PrefixWhole if in_front else SuffixWhole)(name, words.separator(), words.text())
    return (Prefix if in_front else Suffix)(name, words.separator(), words.element())


def _environment(words: Words, places: Places) -> dict[bytes, bytes]:
    random = words.random
    given = [*words.names, *random.sample(NAMES + OTHER_NAMES, random.randrange(8))]
    found = {name: words.text() for name in given if random.random() < 0.8}
    if random.random() < 0.02:
        found[words.name()] = b":".join([words.text(), b"x" * 60_000, words.element()])
    if random.random() < 0.5:
        found[b"PWD"] = random.choice((*places.directories, b"/", b"", b".", b"relative"))
    if random.random() < 0.3:
        found[b"LC_ALL"] = random.choice((b"C", b"C.UTF-8", b"POSIX", b"no-such-locale"))
    return found
