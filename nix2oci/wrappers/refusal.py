"""Why a file is not taken for a wrapper, and where: what every reader of wrappers answers."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from nix2oci.text import display


class Reason(Enum):
    """What stands in the way, in the words that a report shows; the value explains it."""

    EXPANSION_IN_QUOTES = "the text depends on what the shell finds when it runs"
    FLAGS_NOT_LITERAL = 'the arguments are not plain words around one "$@"'
    RUN_LINE = "the line does more than set variables and change the directory"
    SPECIAL_VARIABLE = "the shell itself reacts to the variable"
    PRESET_VARIABLE = "the shell gives the variable a value of its own"
    RELATIVE_CHDIR = "the directory is not an absolute path without '..'"
    TEXT_AFTER_EXEC = "the program is not started by an exec in the last line"
    ROUND_TRIP = "the text is not written as any known generator writes it"
    TARGET_NOT_ABSOLUTE = "the program is not named by its whole path"
    TARGET_MISSING = "there is no such program in the store"
    TARGET_NO_SHEBANG = "the program is a script that does not name its interpreter"
    SHEBANG_TOO_LONG = "the kernel reads only 255 bytes of the first line"
    OTHER_INTERPRETER = "the interpreter is not a bash from the store, run as makeWrapper does"

    def __str__(self) -> str:
        """The reason's name as reports have it: `run-line`."""
        return self.name.lower().replace("_", "-")


class Refusal(Struct, frozen=True):
    """A script or binary that is, or may be, a wrapper, and that nothing is proved about.

    `line` counts from 1 and is None for a binary and for the file as a whole; `text` is the
    offending line, or what stands for it. `wrapper_like` tells a wrapper with an obstacle from a
    shell script that never was one.
    """

    reason: Reason
    path: bytes
    line: int | None
    text: bytes
    detail: str = ""
    wrapper_like: bool = True

    @property
    def where(self) -> str:
        """`FILE:LINE` or `FILE`."""
        return display(self.path) if self.line is None else f"{display(self.path)}:{self.line}"

    @property
    def cause(self) -> str:
        """The reason and what it is about, without the file: `run-line: … ('mkdir x')`."""
        shown = display(self.text)
        shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
        about = f" ('{shown}')" if shown else ""
        return f"{self.reason}: {self.detail or self.reason.value}{about}"

    def __str__(self) -> str:
        return f"{self.where}: {self.cause}"


class RefusedError(Exception):
    """A line that cannot be read; inside the readers only, which turn it into a `Refusal`.

    `offset` counts lines from the beginning of the statement.
    """

    def __init__(self, reason: Reason, detail: str = "", offset: int = 0) -> None:
        super().__init__(reason, detail, offset)
        self.reason = reason
        self.detail = detail
        self.offset = offset


_SHOWN = 120
