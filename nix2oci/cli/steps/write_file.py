"""A file that a command writes beside what it prints: all of it or nothing."""

from __future__ import annotations

import os

from nix2oci.errors import OutputError


def write_file(path: str, data: bytes, *, executable: bool = False) -> None:
    """Put a file at `path`, in place of one that is there; executable from the first moment.

    What is there and no file, such as /dev/null or a pipe, is written to. Raises `OutputError`.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as other:
                other.write(data)
        else:
            _replace(os.path.realpath(path), data, 0o777 if executable else 0o666)
    except OSError as err:
        raise OutputError(f"cannot write {path}: {err.strerror}") from err


def _replace(path: str, data: bytes, mode: int) -> None:
    """The file takes its place when it is whole; the umask decides who may read it."""
    from nix2oci.oci.layout.staging import staging_directory  # start-up counts

    with staging_directory(os.path.dirname(path)) as scratch:
        new = os.path.join(scratch, "new")
        with open(new, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
