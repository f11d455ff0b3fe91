"""Reading wrappers: the bytes of a script or of a wrapper binary in, what it does out, or why not.

A script is a wrapper only when a strict grammar reads it (`statements`) and writing out what was
read gives the same bytes. Here its statements get their meaning as a whole: which of them depend
on errexit or nounset, which variables the shell minds itself, where the program is. The hard part
is to refuse whatever bash would do differently from the operations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum

from msgspec import Struct, field

from nix2oci.wrappers.binary import BinaryWrapper, is_binary_wrapper, read_binary
from nix2oci.wrappers.exec_line import Exec
from nix2oci.wrappers.operations import (
    Argv0,
    Chdir,
    Launch,
    Op,
    Prefix,
    PrefixWhole,
    Prepend,
    Set,
    Unset,
    preset,
)
from nix2oci.wrappers.refusal import Reason, Refusal, RefusedError
from nix2oci.wrappers.spellings import MAKE_WRAPPER, Effect, Form
from nix2oci.wrappers.statements import Statement, Switch, read_statements
from nix2oci.wrappers.variables import PRESET, is_special

STORE = b"/nix/store/"
_BASH = re.compile(STORE + rb"[0-9a-z]{32}-bash(-[^/]*)?/bin/(bash|sh)")
SHELLS = frozenset((b"ash", b"bash", b"busybox", b"dash", b"fish", b"ksh", b"mksh", b"sh", b"zsh"))
_SHEBANG_LIMIT = 255
_NOT_FOUND = "the store directories that the script puts in front of PATH do not have the program"
_APPLICATION = [b"set -o errexit", b"set -o nounset", b"set -o pipefail"]


class Native(Enum):
    """What is no wrapper and needs no shell; the value says what it is."""

    ELF = "a program"
    INTERPRETED = "a script of an interpreter that is no shell"
    OTHER = "neither a program nor a script"


class Shebang(Struct, frozen=True):
    """The first line of a script: `#!`, blanks, the interpreter, blanks and one argument."""

    line: bytes
    interpreter: bytes
    argument: bytes


class Wrapper(Struct, frozen=True):
    """A script that is proved to do nothing but what `launch` says.

    `launch` has bash's own PATH where an operation reads it. `shell` is the bash that the script
    names, `text` the script.
    """

    path: bytes
    form: Form
    shebang: Shebang
    statements: tuple[Statement, ...]
    launch: Launch

    @property
    def shell(self) -> bytes:
        return self.shebang.interpreter

    @property
    def text(self) -> bytes:
        lines = (self.shebang.line, *(statement.text for statement in self.statements))
        return b"\n".join(lines) + b"\n"


class HostFacts(Struct, frozen=True):
    """What a reader is told of the world outside the file.

    `is_bash` knows the interpreters that are bash, `path_preset` is the PATH that this bash makes
    for itself where the environment has none (`variables.path_preset`), None where that is not
    known. `is_program` tells whether there is an executable file at a path.
    """

    is_bash: Callable[[bytes], bool] = lambda path: bool(_BASH.fullmatch(path))
    path_preset: Callable[[bytes], bytes | None] = lambda _: None
    is_program: Callable[[bytes], bool] = lambda _: False


def read(
    data: bytes, path: bytes, host: HostFacts | None = None
) -> Wrapper | BinaryWrapper | Refusal | Native:
    """What the file is. `path` is only for the answer; never raises.

    A `Refusal` is a shell script, or a binary that calls itself a wrapper: nothing is proved about
    what it does.
    """
    if data.startswith(b"\x7fELF"):
        return read_binary(data, path) if is_binary_wrapper(data) else Native.ELF
    if not data.startswith(b"#!"):
        return Native.OTHER
    shebang = read_shebang(data)
    if not is_shell(shebang):
        return Native.INTERPRETED
    return _script(data, path, shebang, host or HostFacts())


def essence(data: bytes) -> bytes:
    """As few bytes of a file as `read`, and whoever asks for its interpreter, say the same of."""
    if data.startswith(b"\x7fELF"):
        return data if is_binary_wrapper(data) else data[:4]
    if not data.startswith(b"#!"):
        return data[:2]
    return data if is_shell(read_shebang(data)) else data.partition(b"\n")[0]


def read_shebang(data: bytes) -> Shebang:
    """The line as the kernel splits it (binfmt_script), which passes on all arguments as one."""
    line = data.partition(b"\n")[0]
    rest = line[2:].partition(b"\0")[0].strip(b" \t")
    interpreter, argument = re.split(rb"[ \t]+", rest + b" ", maxsplit=1)
    return Shebang(line, interpreter, argument.strip(b" \t"))


def is_shell(shebang: Shebang) -> bool:
    """Whether the interpreter is a shell, or `env` with the name of one, or nothing at all."""
    words = [shebang.interpreter.rpartition(b"/")[2]]
    if words == [b"env"]:
        words = [word.rpartition(b"/")[2] for word in shebang.argument.split()]
    return not shebang.interpreter or any(word in SHELLS for word in words)


def _script(data: bytes, path: bytes, shebang: Shebang, host: HostFacts) -> Wrapper | Refusal:
    lines = data.split(b"\n")
    statements: list[Statement] = []
    try:
        _check_shebang(shebang, host)
        _check_bytes(data, lines)
        state = _State(host.path_preset(shebang.interpreter), shebang.argument == b"-e")
        for statement in read_statements(lines[1:-1]):
            state.take(statement)
            statements.append(statement)
        launch = _launch(statements, state.path_preset, host)
    except _AtLineError as err:
        return _refusal(err, path, lines, err.at)
    except RefusedError as err:
        at = 1 + sum(statement.text.count(b"\n") + 1 for statement in statements) + err.offset
        return _refusal(err, path, lines, at)
    wrapper = Wrapper(path, _form(shebang, statements), shebang, tuple(statements), launch)
    if wrapper.text != data:
        return Refusal(Reason.ROUND_TRIP, path, None, b"")
    return wrapper


class _AtLineError(RefusedError):
    """`at` counts the lines of the file from 0."""

    def __init__(self, at: int, reason: Reason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.at = at


def _check_shebang(shebang: Shebang, host: HostFacts) -> None:
    if not host.is_bash(shebang.interpreter):
        raise _AtLineError(0, Reason.OTHER_INTERPRETER)
    if shebang.argument not in (b"", b"-e"):
        raise _AtLineError(0, Reason.OTHER_INTERPRETER, "bash is given options other than -e")
    if len(shebang.line) > _SHEBANG_LIMIT:
        raise _AtLineError(0, Reason.SHEBANG_TOO_LONG)


def _check_bytes(data: bytes, lines: Sequence[bytes]) -> None:
    """No NUL, at which bash stops reading a line, no line of DOS, and an end to the last line."""
    is_odd = b"\0" in data or b"\r" in data
    for at, line in enumerate(lines) if is_odd else ():
        if b"\0" in line:
            raise _AtLineError(at, Reason.ROUND_TRIP, "the line holds a NUL byte")
        if line.endswith(b"\r"):
            raise _AtLineError(at, Reason.ROUND_TRIP, "the line ends as on DOS")
    if lines[-1] or len(lines) == 1:
        raise _AtLineError(len(lines) - 1, Reason.ROUND_TRIP, "the last line has no end")


def _refusal(err: RefusedError, path: bytes, lines: Sequence[bytes], at: int) -> Refusal:
    """`at` is the line that the reader got to, from 0; what is empty cannot have stopped it."""
    like = lines[0].endswith(b" -e") or any(line.startswith(b"exec ") for line in lines)
    while at < len(lines) and not lines[at]:
        at += 1
    if at >= len(lines):
        return Refusal(err.reason, path, None, b"", err.detail, like)
    return Refusal(err.reason, path, at + 1, lines[at], err.detail, like)


class _State(Struct):
    """What is known of the shell before the next statement.

    `known` are the variables that are set whatever the environment, `settled` those whose value
    is no longer what bash may have given them.
    """

    path_preset: bytes | None
    errexit: bool
    nounset: bool = False
    known: set[bytes] = field(default_factory=lambda: {b"PATH"})
    settled: set[bytes] = field(default_factory=set)
    arrays: set[bytes] = field(default_factory=set)

    def take(self, statement: Statement) -> None:
        """Go on past the statement. Raises `RefusedError` where its meaning is not plain."""
        if isinstance(statement, Switch):
            self.errexit |= statement.errexit
            self.nounset |= statement.nounset
        effect = _effect(statement)
        if effect is None:
            return
        if isinstance(effect.op, Chdir):
            if not self.errexit:
                raise RefusedError(Reason.RUN_LINE, "bash would continue if cd fails")
            return
        self._check_variable(effect, effect.op.name)
        self._note(effect, effect.op.name)

    def _check_variable(self, effect: Effect, name: bytes) -> None:
        if is_special(name):
            raise RefusedError(Reason.SPECIAL_VARIABLE)
        if name in self.arrays or (effect.is_array and name in self.known | PRESET):
            raise RefusedError(Reason.SPECIAL_VARIABLE, "the variable is an array, too")
        if effect.reads_plainly and self.nounset and name not in self.known:
            raise RefusedError(
                Reason.EXPANSION_IN_QUOTES, "nounset ends the script where the variable is not set"
            )
        if isinstance(effect.op, Set | Unset) or name in self.settled:
            return
        if name in PRESET or (name == b"PATH" and self.path_preset is None):
            raise RefusedError(Reason.PRESET_VARIABLE)

    def _note(self, effect: Effect, name: bytes) -> None:
        self.settled.add(name)
        if effect.is_array:
            self.arrays.add(name)
        if isinstance(effect.op, Unset):
            self.known.discard(name)
        else:
            self.known.add(name)


def _effect(statement: Statement) -> Effect | None:
    try:
        return statement.effect
    except ValueError as err:
        raise RefusedError(Reason.RELATIVE_CHDIR) from err


def _launch(statements: list[Statement], path_preset: bytes | None, host: HostFacts) -> Launch:
    """What all of them do together."""
    (last,) = (statement for statement in statements if isinstance(statement, Exec))
    ops = tuple(effect.op for effect in map(_effect, statements) if effect)
    target, argv0 = last.target.word.value, last.argv0
    if b"/" not in target:
        found = _search(ops, target, host.is_program)
        if found is None:
            del statements[statements.index(last) :]  # it is this one that is refused
            raise RefusedError(Reason.TARGET_NOT_ABSOLUTE, _NOT_FOUND)
        # bash passes on the name as it was typed.
        target, argv0 = found, target if argv0 is Argv0.TARGET else argv0
    if path_preset is not None:
        ops = preset(ops, b"PATH", path_preset)
    before = tuple(literal.word.value for literal in last.before)
    after = tuple(literal.word.value for literal in last.after)
    return Launch(target, ops, argv0, before, after)


def _search(ops: Iterable[Op], name: bytes, is_program: Callable[[bytes], bool]) -> bytes | None:
    """The program that bash finds whatever PATH the caller has; None where that depends on it."""
    for directory in _path_head(ops):
        if not directory.startswith(STORE) or directory.endswith(b"/"):
            return None
        if is_program(directory + b"/" + name):
            return directory + b"/" + name
    return None


def _path_head(ops: Iterable[Op]) -> list[bytes]:
    """The entries at the front of PATH that the operations alone decide."""
    text, complete = b"", False
    for op in ops:
        if isinstance(op, Chdir) or op.name != b"PATH":
            continue
        match op:
            case Set():
                text, complete = op.value, True
            case Prepend():
                text = op.text + text
            case Prefix() | PrefixWhole() if op.separator == b":":
                text = op.value + b":" + text
            case _:
                text, complete = b"", False
    entries = text.split(b":")
    return entries if complete else entries[:-1]


def _form(shebang: Shebang, statements: Sequence[Statement]) -> Form:
    if shebang.line == b"#! " + shebang.interpreter + b" -e":
        forms = [form for form in MAKE_WRAPPER if all(form in s.forms for s in statements)]
        return forms[-1] if forms else Form.TIER2
    if shebang.line != b"#!" + shebang.interpreter or not shebang.interpreter.endswith(b"/bash"):
        return Form.TIER2
    head = [statement.text for statement in statements[:3]]
    return Form.APPLICATION if head == _APPLICATION else Form.SCRIPT
