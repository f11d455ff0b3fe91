"""The same bytes at a second place, for as little as the file system asks.

A clone shares blocks until one of the two is changed: nothing can go wrong with it, and few file
systems have it. A hard link is one file with two names: nobody may write to it, so it becomes
read-only, and whoever relies on it checks its bytes. What is left is a copy.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from contextlib import suppress

from nix2oci.host.differences import here
from nix2oci.host.regular_files import open_file

_FICLONE = 0x40049409
"""ioctl_ficlone(2)."""

_ALL_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def share(source: str, target: str) -> None:
    """Make `target`, which must not exist, a file of the bytes of `source`, read-only.

    Raises `OSError`; then there is no `target`.
    """
    try:
        _make(source, target)
        os.chmod(target, stat.S_IMODE(os.stat(target).st_mode) & ~_ALL_WRITE)
    except BaseException:
        with suppress(OSError):
            os.unlink(target)
        raise


def _make(source: str, target: str) -> None:
    with open_file(source) as old:
        with open(target, "xb", buffering=0) as new:
            if here().has_ficlone and _clone(old.fileno(), new.fileno()):
                return
            alike = _readers(old.fileno()) == _readers(new.fileno())
        os.unlink(target)
        if not (alike and _link(source, target)):
            with open(target, "xb", buffering=0) as new:
                shutil.copyfileobj(old, new, 1 << 20)


def _readers(handle: int) -> tuple[int, int, int]:
    """Owner and mode, which a link cannot have of its own."""
    status = os.fstat(handle)
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode) & ~_ALL_WRITE


def _link(source: str, target: str) -> bool:
    """Whether there could be a link: not on another file system, nor one too many."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        return False
    return True


def _clone(old: int, new: int) -> bool:
    try:
        fcntl.ioctl(new, _FICLONE, old)
    except OSError:
        return False
    return True
