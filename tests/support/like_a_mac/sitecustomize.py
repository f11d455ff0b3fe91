"""Makes Python take this machine for a Mac, before the program is loaded: see support/mac.py.

What is here is what the program may notice of macOS: the names of system and processor, calls that
there are none of, a forked child that does not live, FICLONE that nobody knows, and, below
the directory in FOLDS_CASE, names that are one where they differ in case alone (APFS).
"""

from __future__ import annotations

import builtins
import fcntl
import functools
import io
import os
import unicodedata
from collections.abc import Callable
from typing import Any

MACHINE = os.environ.get("LIKE_A_MAC", "arm64")  # noqa: TID251
TOP = os.fsencode(os.environ.get("FOLDS_CASE", ""))  # noqa: TID251
VERSION = "Darwin Kernel Version 25.1.0"
LACKING = (
    *("copy_file_range", "eventfd", "fdatasync", "getrandom", "getxattr", "listxattr"),
    *("memfd_create", "pidfd_open", "posix_fadvise", "posix_fallocate", "sched_getaffinity"),
    *("sched_setaffinity", "setxattr", "splice", "O_DIRECT", "O_PATH", "O_TMPFILE"),
)
TAKE_A_PATH = (
    *("access", "chmod", "listdir", "lstat", "mkdir", "open", "readlink", "rmdir", "scandir"),
    *("stat", "truncate", "unlink", "utime"),
)
TAKE_A_PATH_SECOND = ("symlink",)
_LISTDIR, _IOCTL = os.listdir, fcntl.ioctl
_FICLONE = 0x40049409


def fork() -> int:
    raise AssertionError("a forked child: macOS may end it")


def ioctl(handle: Any, request: int, *more: Any) -> Any:
    if request == _FICLONE:
        raise AssertionError("an ioctl that only Linux has")
    return _IOCTL(handle, request, *more)


def _same(name: bytes) -> str:
    return unicodedata.normalize("NFD", name.decode("utf-8", "surrogateescape")).casefold()


def _found(path: Any) -> Any:
    """The path as it was written when it was made."""
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str | bytes) or not os.fsencode(text).startswith(TOP + b"/"):
        return path
    place = TOP
    for name in os.fsencode(text)[len(TOP) + 1 :].split(b"/"):
        try:
            names = {_same(each): each for each in _LISTDIR(place)}
        except OSError:
            names = {}
        place += b"/" + names.get(_same(name), name)
    return place if isinstance(text, bytes) else os.fsdecode(place)


def _folding(call: Callable[..., Any], at: int) -> Callable[..., Any]:
    @functools.wraps(call)
    def folding(*args: Any, **more: Any) -> Any:
        if len(args) <= at or more.get("dir_fd") is not None:
            return call(*args, **more)
        return call(*args[:at], _found(args[at]), *args[at + 1 :], **more)

    return folding


def become_a_mac() -> None:
    setattr(os, "uname", lambda: os.uname_result(("Darwin", "mac", "25.1.0", VERSION, MACHINE)))  # noqa: B010
    for name in LACKING:
        if hasattr(os, name):
            delattr(os, name)
    setattr(os, "fork", fork)  # noqa: B010
    setattr(fcntl, "ioctl", ioctl)  # noqa: B010
    if TOP:
        for at, names in enumerate((TAKE_A_PATH, TAKE_A_PATH_SECOND)):
            for name in names:
                setattr(os, name, _folding(getattr(os, name), at))
        io.open = builtins.open = _folding(builtins.open, 0)


become_a_mac()
