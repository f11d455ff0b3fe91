"""Directories that nobody else may read or change, since what is in them goes into images."""

from __future__ import annotations

import os
import stat


def make_private(path: str) -> None:
    """Make a directory and those that are missing above it: 0700, whatever the umask.

    That is what the XDG Base Directory Specification asks for. What is there stays as it is.
    """
    if not path or os.path.isdir(path):
        return
    make_private(os.path.dirname(path))
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:  # another build has made it just now
        return
    os.chmod(path, 0o700)  # the umask may have taken the owner's own rights


def why_not_private(path: str) -> str | None:
    """Why somebody else can change what is in a directory, and how to mend it; None if nobody."""
    try:
        found = os.stat(path)
    except OSError:  # to be made yet, or not to be used anyway
        return None
    if found.st_uid != os.geteuid():
        return f"it belongs to another user (chown -R {os.geteuid()} {path})"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others can write it (chmod go-w {path})"
    return None
