"""Following what a wrapper starts: through scripts, wrapper binaries, links and interpreters.

A wrapper is replaced by itself, so nothing is composed here. The end of the chain tells whether
the program works without a shell: a wrapper that could be replaced may stand in front of a shell
script that cannot.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from enum import Enum

from msgspec import Struct

from nix2oci.wrappers.binary import BinaryWrapper
from nix2oci.wrappers.refusal import Reason, Refusal
from nix2oci.wrappers.script import STORE, Native, Wrapper, is_shell, read, read_shebang

_DEPTH = 8


class File(Struct, frozen=True):
    """What is at a path: a link's target, or a file's content and whether it may be executed.

    Neither link nor content means something else, such as a directory.
    """

    content: bytes | None = None
    link: bytes | None = None
    executable: bool = True


Lookup = Callable[[bytes], File | None]
"""What is at an absolute path, None for nothing. Links among the directories on the way to it are
followed, the last name is not. Paths have no `.` or `..`."""

Reader = Callable[[bytes, bytes], Wrapper | BinaryWrapper | Refusal | Native]
"""What a file is, by its content and its path: `script.read`, with what is known of the host."""


class End(Enum):
    """What a chain ends in; the value explains it."""

    NATIVE = "a program, or a script of an interpreter that is no shell"
    SHELL = "a shell script"
    REFUSE = "something that nothing is proved about"


class Step(Struct, frozen=True):
    """One file of a chain. A link is given as the path that it leads to."""

    path: bytes
    what: Wrapper | BinaryWrapper | Refusal | Native | bytes


class Chain(Struct, frozen=True):
    """All that is run from the first path on, in order.

    `refusal` says why the end is not `NATIVE`. `target` is the refusal of what the first wrapper
    starts, if nothing may take the wrapper's place for that: bash would run a file without `#!`
    itself, and what is not in the store can be anything.
    """

    steps: tuple[Step, ...]
    end: End
    refusal: Refusal | None = None
    target: Refusal | None = None

    @property
    def needs_shell(self) -> bool:
        """Whether the chain ends in a shell script, or in what may be one."""
        return self.end is not End.NATIVE


def follow(path: bytes, lookup: Lookup, reader: Reader = read) -> Chain:
    """The chain that begins at `path`; at most 8 files, and none twice."""
    steps: list[Step] = []
    current: bytes | None = path
    while current is not None:
        step = _step(current, steps, lookup, reader)
        steps.append(step)
        if isinstance(step.what, Refusal):
            return _refused(steps, step.what)
        current = _next(step, lookup)
    return Chain(tuple(steps), End.NATIVE)


def _step(path: bytes, before: list[Step], lookup: Lookup, reader: Reader) -> Step:
    detail = _obstacle(path, before)
    file = lookup(path) if not detail else None
    if file is not None and file.link is not None:
        return Step(path, posixpath.normpath(posixpath.join(posixpath.dirname(path), file.link)))
    if not detail and file is None:
        detail = "there is nothing at this path"
    elif file is not None and (file.content is None or not file.executable):
        detail = "it is not an executable file"
    if detail or file is None or file.content is None:
        return Step(path, Refusal(Reason.TARGET_MISSING, path, None, b"", detail))
    what = reader(file.content, path)
    if what is Native.OTHER and before:
        return Step(path, Refusal(Reason.TARGET_NO_SHEBANG, path, 1, b"", wrapper_like=False))
    return Step(path, what)


def _obstacle(path: bytes, before: list[Step]) -> str:
    if any(step.path == path for step in before):
        return "the chain comes back to where it was"
    if len(before) == _DEPTH:
        return f"the chain has more than {_DEPTH} files"
    if before and not path.startswith(STORE):
        return "it is not in the store"
    return ""


def _next(step: Step, lookup: Lookup) -> bytes | None:
    match step.what:
        case bytes(target):
            return target
        case Wrapper(launch=launch):
            return posixpath.normpath(launch.target)
        case BinaryWrapper(target=target):
            return posixpath.normpath(target)
        case Native.INTERPRETED:
            return _interpreter(step.path, lookup)
    return None


def _interpreter(path: bytes, lookup: Lookup) -> bytes | None:
    """The interpreter of a script, where it is in the store, since it may be a wrapper, too."""
    file = lookup(path)
    assert file is not None
    shebang = read_shebang(file.content or b"")
    found = posixpath.normpath(shebang.interpreter)
    return found if found.startswith(STORE) and lookup(found) and not is_shell(shebang) else None


def _refused(steps: list[Step], refusal: Refusal) -> Chain:
    is_script = refusal.reason is Reason.TARGET_NO_SHEBANG or not refusal.wrapper_like
    wrappers = [at for at, step in enumerate(steps) if isinstance(step.what, Wrapper)]
    between = steps[wrappers[0] + 1 : -1] if wrappers else []
    is_target = bool(wrappers) and all(isinstance(step.what, bytes) for step in between)
    unclear = refusal.reason in (Reason.TARGET_MISSING, Reason.TARGET_NO_SHEBANG)
    return Chain(
        tuple(steps),
        End.SHELL if is_script else End.REFUSE,
        refusal,
        refusal if is_target and unclear else None,
    )
