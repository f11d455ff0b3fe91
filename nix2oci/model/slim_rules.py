"""What may be left out of a store path, by rules that look at the names within that path alone.

A layer stays a function of its store paths and the set of rules, so that all images with the same
set share layers. Which set an image has is decided elsewhere, over its whole closure: `plan.slim`.
A licence is never left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property

from msgspec import Struct

DUPLICATES = "duplicates"
"""The rule that leaves nothing out: equal files of a store path become one, with several names."""


class Rule(Struct, frozen=True):
    """What is left out together."""

    name: str
    version: int
    """Goes up with every change of what it leaves out: layers of another version are others."""
    level: int
    """The lowest of `--slim 1` and `--slim 2` that has it."""
    what: str
    """In words, for people."""
    pattern: str = r"(?!)"
    """Matches the path within a store path of what is left out, with all that is below it."""

    def __str__(self) -> str:
        return f"{self.name}.{self.version}"


DOCUMENTS = "doc|devhelp|gtk-doc|help|info|man"
"""Directories of `share/` with what people read, as a pattern has them."""
_COMPLETIONS = r"bash-completion|zsh/site-functions|fish/vendor_completions\.d"
_PYTHON_PARTS = "ensurepip|idlelib|lib2to3|test|tkinter|turtledemo"

RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "docs", 1, 1, "manuals, other documents, completions for shells",
            rf"share/(?:{DOCUMENTS}|{_COMPLETIONS})",
        ),
        Rule(
            "dev", 1, 1, "headers, static libraries, what compilers and build systems look for",
            r"include|nix-support|share/aclocal|(?:lib|share)/(?:.*/)?(?:pkgconfig|cmake)"
            r"|lib/(?:.*/)?[^/]+\.(?:a|la)|lib/python3\.\d+/config-3\.[^/]+",
        ),
        Rule("pyc", 1, 1, "Python's bytecode for -O and -OO", r"(?:.*/)?[^/]+\.opt-[12]\.pyc"),
        Rule(DUPLICATES, 1, 1, "equal files of a store path, kept once"),
        Rule(
            "locale", 1, 2, "translations, and locales but for C.UTF-8",
            r"share/locale|share/i18n|lib/(?:[^/]+/)?locale/(?!C\.)[^/]+",
        ),
        Rule(
            "gconv", 1, 2, "the C library's conversions of character sets",
            r"lib/(?:[^/]+/)?gconv",
        ),
        Rule(
            "python", 1, 2, "parts of Python's library: tests, IDLE, Tk, the installer of pip",
            rf"lib/python3\.\d+/(?:{_PYTHON_PARTS})",
        ),
    )
}  # fmt: skip
"""Every rule, in the order in which they are listed."""

PYTHON_PARTS = tuple(_PYTHON_PARTS.split("|"))

_LICENCE = re.compile(
    rb"(?:.*/)?(?:(?:licen[cs]es?|copying|copyright|notice|authors)[^/]*|[^/]+[-._]licen[cs]es?)"
    rb"(?:/.*)?",
    re.IGNORECASE | re.DOTALL,
)


class RuleSet(Struct, frozen=True, dict=True):
    """The rules that hold for a whole image."""

    names: tuple[str, ...] = ()
    """Each once, in the order of `RULES`."""

    @classmethod
    def of(cls, names: Iterable[str]) -> RuleSet:
        """Those of some names, in whatever order they come."""
        wanted = frozenset(names)
        return cls(tuple(name for name in RULES if name in wanted))

    def __bool__(self) -> bool:
        return bool(self.names)

    def __str__(self) -> str:
        """All that decides what is left out: `docs.1 dev.1`."""
        return " ".join(str(RULES[name]) for name in self.names)

    @property
    def duplicates(self) -> bool:
        """Whether equal files of a store path become hard links."""
        return DUPLICATES in self.names

    @property
    def leaves_something_out(self) -> bool:
        """Whether it is about more than hard links."""
        return self._left_out is not None

    def leaves_out(self, path: bytes) -> str | None:
        """The rule by which a file or link is left out, by its path within its store path.

        Where that is a directory, all that is in it is left out too, but for licences.
        """
        if not self._left_out or not (found := self._left_out.fullmatch(path)):
            return None
        if _LICENCE.fullmatch(path):
            return None
        return str(found.lastgroup)

    @cached_property
    def _left_out(self) -> re.Pattern[bytes] | None:
        parts = (
            f"(?P<{name}>{RULES[name].pattern})(?:/.*)?"
            for name in self.names
            if name != DUPLICATES
        )
        pattern = "|".join(f"(?:{part})" for part in parts)
        return re.compile(pattern.encode(), re.DOTALL) if pattern else None


EVERYTHING = RuleSet()
"""No rule: a store path is as Nix made it."""
