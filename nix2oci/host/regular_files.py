"""Files that others put where they are: a regular one is read, anything else is an error."""

from __future__ import annotations

import errno
import os
import stat
from io import FileIO


def open_file(path: str) -> FileIO:
    """A regular file, unbuffered, from its start.

    Raises `OSError`, also for a directory, a device and a pipe, which might have no end.
    """
    file = open(path, "rb", buffering=0, opener=_without_waiting)  # noqa: SIM115  # it is handed on
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no file", path)
    return file


def read_file(path: str, most: int) -> bytes:
    """What is in a regular file; raises `OSError`, also where that is over `most` bytes."""
    with open_file(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB", path)
    return data


def _without_waiting(path: str, flags: int) -> int:
    """Open what may be a pipe that nobody writes to."""
    return os.open(path, flags | os.O_NONBLOCK)
