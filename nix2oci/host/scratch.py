"""Directories for what is not whole yet: gone at the end, and after a kill gone with the next run.

Each has a marker in it and is locked while its owner lives, so that the next run knows one that a
killed run left from one in use and from what is not ours, and removes it.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Literal

from nix2oci.errors import OutputError

STAGING = ".nix2oci-"
"""How the name of each of these directories starts; 16 hex digits follow."""

MARKER = "STAGING.TAG"
"""In each, from first to last: that a run of nix2oci made it, and may remove it."""

_MAGIC = b"""\
Signature: 4b1d6f0c2e97a85340f3d18b7c6e52a9
# A staging directory of nix2oci: a later run removes what a killed one left.
"""


def is_staging(name: str) -> bool:
    """Whether a file name is one that these directories have."""
    return re.fullmatch(re.escape(STAGING) + "[0-9a-f]{16}", name) is not None


@contextmanager
def scratch_directory(
    home: str, undo: Callable[[str, str], None] = lambda _, __: None
) -> Iterator[str]:
    """A locked directory in `home`, removed at the end; what killed runs left goes first.

    `undo` is told of `home` and of each that was left, before that goes. Raises `OSError`.
    """
    remove_left(home, undo)
    made: list[str] = []
    locks: list[int] = []
    try:
        yield _new(home, made, locks)
    finally:
        for directory in made:
            _remove(directory)
        for handle in locks:
            os.close(handle)


@contextmanager
def temporary_directory() -> Iterator[str]:
    """One among the machine's temporary files; `OutputError` where that cannot be."""
    with ExitStack() as stack:
        try:
            directory = stack.enter_context(scratch_directory(tempfile.gettempdir()))
        except OSError as err:
            raise OutputError(
                f"cannot make a temporary directory: {err.strerror}",
                hint="TMPDIR names the directory for them",
            ) from err
        yield directory


def remove_left_temporary() -> None:
    """Remove what killed runs left among the machine's temporary files, as far as that works."""
    with suppress(OSError):
        remove_left(tempfile.gettempdir())


def remove_left(home: str, undo: Callable[[str, str], None] = lambda _, __: None) -> None:
    """Remove the directories that killed runs left in `home`. Raises `OSError`."""
    for name in os.listdir(home):
        if is_staging(name):
            # A name that is gone, is no directory, or may not be read is none of ours by now.
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                _remove_if_left(home, os.path.join(home, name), undo)


def lock(handle: int) -> Literal["held", "busy", "unsupported"]:
    """Take the lock of an open file or directory, which ends with the process, unless it is taken.

    Some file systems have none: NFS, for directories.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "busy"
    except OSError:
        return "unsupported"
    return "held"


def _new(home: str, made: list[str], locks: list[int]) -> str:
    """A new directory with its lock; both are noted at once, since an interrupt comes any time."""
    while True:
        directory = os.path.join(home, STAGING + os.urandom(8).hex())
        made.append(directory)
        os.makedirs(directory, 0o700)
        handle = _claimed(directory)
        if handle is not None:
            locks.append(handle)
            return directory


def _claimed(directory: str) -> int | None:
    """A handle that holds the lock; None when another run took the directory for a left one."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        if lock(handle) != "busy" and os.path.isdir(directory):
            with open(os.path.join(directory, MARKER), "xb") as marker:
                marker.write(_MAGIC)
            return handle
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _remove(directory: str) -> None:
    try:
        _empty_and_remove(directory)
    finally:
        if os.path.lexists(directory):  # a second Ctrl-C, say
            _empty_and_remove(directory)


def _empty_and_remove(directory: str) -> None:
    """Remove a directory with all in it, the marker last: what is not gone must be known later."""
    with suppress(OSError):
        for name in set(os.listdir(directory)) - {MARKER}:
            remove_tree(os.path.join(directory, name))
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, MARKER))
        os.rmdir(directory)


def remove_tree(path: str) -> None:
    """Remove a file, a link, or a directory with all in it, as far as that works.

    Without recursion, in which `shutil.rmtree` ends to Python 3.12 where a directory is as deep as
    one of a store may be. For what nobody else changes: links are told from directories first.
    """
    if os.path.islink(path) or not os.path.isdir(path):
        with suppress(OSError):
            os.unlink(path)
        return
    directories = [path]
    for directory in directories:  # which grows
        with suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.path)
                else:
                    with suppress(OSError):
                        os.unlink(entry.path)
    for directory in reversed(directories):
        with suppress(OSError):
            os.rmdir(directory)


def _remove_if_left(home: str, directory: str, undo: Callable[[str, str], None]) -> None:
    """Remove what a killed run of ours left: it has the marker, or nothing, and no lock."""
    if os.lstat(directory).st_uid != os.geteuid():
        return
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if lock(handle) != "held":
            return
        if _marker(directory) == _MAGIC:
            undo(home, directory)
            _remove(directory)
        elif os.listdir(directory) == [MARKER] and _marker(directory) == b"":
            _remove(directory)  # killed before it could write the marker
        else:
            with suppress(OSError):
                os.rmdir(directory)
    finally:
        os.close(handle)


def _marker(directory: str) -> bytes | None:
    """What the marker says; None where there is none."""
    path = os.path.join(directory, MARKER)
    if not (os.path.lexists(path) and stat.S_ISREG(os.lstat(path).st_mode)):
        return None
    with open(path, "rb") as marker:
        return marker.read(len(_MAGIC) + 1)
