"""A file that a command writes beside what it prints: all of it or nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from nix2oci.errors import OutputError


def check_writable(*paths: str | None, after: str | None = None) -> None:
    """Raise `OutputError` where `write_file` would: now, not after an hour of building.

    `after` is what is written before, with the directories above it that are missing.
    """
    made = f"{os.path.realpath(after)}/" if after else ""
    for path in filter(None, paths):
        home = os.path.dirname(os.path.realpath(path))
        with _reported(path):
            if not _is_file(path):
                _check_other(path)
            elif os.path.exists(home) or not made.startswith(f"{home}/"):
                from nix2oci.oci.layout.staging import staging_directory  # noqa: PLC0415  # start-up counts

                with staging_directory(home):
                    pass


def check_directory(path: str | None) -> None:
    """Raise `OutputError` where no files could be written into a directory, or it not be made."""
    if path is None:
        return
    there = os.path.realpath(path)
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    with _reported(path):
        if not os.path.isdir(there):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    check_writable(os.path.join(there, "file"))


def write_into(path: str, files: Mapping[str, bytes]) -> None:
    """Put files into a directory, which is made if need be; raises `OutputError`."""
    with _reported(path):
        os.makedirs(path, exist_ok=True)
    for name, data in files.items():
        write_file(os.path.join(path, name), data)


def _check_other(path: str) -> None:
    """A pipe is not opened: its reader would see the end of it."""
    number = errno.EISDIR if os.path.isdir(path) else errno.EACCES
    if number == errno.EISDIR or not os.access(path, os.W_OK):
        raise OSError(number, os.strerror(number))


def write_file(path: str, data: bytes, *, executable: bool = False) -> None:
    """Put a file at `path`, in place of one that is there; executable from the first moment.

    What is there and no file, such as /dev/null or a pipe, is written to. Raises `OutputError`.
    """
    write_pieces(path, (data,), executable=executable)


def append_to_file(path: str, data: bytes) -> None:
    """Add to the end of a file, which need not be there; raises `OutputError`."""
    with _reported(path), open(path, "ab") as file:
        file.write(data)


def write_pieces(
    path: str, pieces: Iterable[bytes | memoryview], *, executable: bool = False
) -> None:
    """The same of what is not at hand all at once; what making the pieces raises comes through."""
    with _reported(path):
        if _is_file(path):
            _replace(os.path.realpath(path), pieces, 0o777 if executable else 0o666)
        else:
            with open(path, "wb") as other:
                other.writelines(pieces)


def _is_file(path: str) -> bool:
    return os.path.isfile(path) or not os.path.exists(path)


@contextmanager
def _reported(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise OutputError(f"cannot write {path}: {err.strerror}") from err


def _replace(path: str, pieces: Iterable[bytes | memoryview], mode: int) -> None:
    """The file takes its place when it is whole; the umask decides who may read it."""
    from nix2oci.oci.layout.staging import staging_directory  # noqa: PLC0415  # start-up counts

    with staging_directory(os.path.dirname(path)) as scratch:
        new = os.path.join(scratch, "new")
        with open(new, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
