"""Putting an image together out of sight, so that it can appear all at once.

Everything is staged in a directory of its own on the file system of the final place, where moving
is renaming. The directory has a marker in it and is locked while its writer lives, so that the next
run knows one that a killed run left from one in use and from what is not ours, and removes it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import BinaryIO, Literal, Self

from nix2oci.errors import OutputError
from nix2oci.oci.layout.archive import blob_name
from nix2oci.oci.layout.reflink import share
from nix2oci.oci.layout.target_checks import STAGING, is_staging, locked, sweep
from nix2oci.oci.spec import BLOBS, Digest

DOOMED = "doomed"
"""In a staging directory: the hex digests of blobs that must go unless the index needs them."""

MARKER = "STAGING.TAG"
"""In a staging directory, from first to last: that a run of nix2oci made it, and may remove it."""

_MAGIC = b"""\
Signature: 4b1d6f0c2e97a85340f3d18b7c6e52a9
# A staging directory of nix2oci: a later run removes what a killed one left.
"""


class StagedBlob:
    """A blob on its way into an image: write to it, then commit it under its digest.

    A blob that is not committed when its `with` block ends is gone. Any failure to write is an
    `OutputError` that names the image.
    """

    def __init__(self, workspace: Workspace, path: str) -> None:
        self._workspace = workspace
        self._path = path
        with workspace.reported():
            self._file: BinaryIO | None = open(path, "xb", buffering=0)  # noqa: SIM115
        self.size = 0
        """Bytes written so far."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Write all of `data`."""
        if self._file is None:
            raise AssertionError("the blob is committed or discarded already")
        with self._workspace.reported():
            view = memoryview(data).cast("B")
            while view:
                view = view[self._file.write(view) :]
        self.size += len(data)
        return len(data)

    def commit(self, digest: Digest, size: int) -> None:
        """Keep what was written as the blob `digest`, `size` bytes long.

        The caller computed the digest while writing. Two blobs of one digest are one blob.
        """
        if size != self.size:
            raise AssertionError(f"{digest}: {self.size} bytes were written, not {size}")
        with self._workspace.reported():
            self._close()
            os.replace(self._path, self._workspace.blob_path(digest))

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        with suppress(FileNotFoundError):
            os.unlink(self._path)


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a file system without room for more says."""


class Workspace:
    """Where an image is put together. Blobs may be made from several threads at once."""

    def __init__(self, directory: str, what: str) -> None:
        self.directory = directory
        """An absolute path; on the file system of the place where the image goes."""
        self.what = what
        self._numbers = itertools.count()
        self._elsewhere: dict[Digest, int] = {}
        with self.reported():
            os.makedirs(os.path.join(directory, BLOBS))

    def reported(self) -> AbstractContextManager[None]:
        """Turns an `OSError` into an `OutputError` that names the image being written."""
        return reported(self.what, self.directory)

    def new_blob(self) -> StagedBlob:
        """A new blob to write to; use it in a `with` block. Forked processes may do so, too."""
        name = f"new-{os.getpid()}-{next(self._numbers)}"
        return StagedBlob(self, os.path.join(self.directory, name))

    def add(self, data: bytes) -> Digest:
        """Add a blob that is at hand."""
        digest = Digest.of(data)
        with self.new_blob() as blob:
            blob.write(data)
            blob.commit(digest, len(data))
        return digest

    def adopt(self, path: str, digest: Digest, size: int) -> bool:
        """Add the file at `path` as the blob `digest`, where it is that; its bytes are read.

        It is cloned or linked where the file system can do that, else copied. From several
        threads at once. Raises nothing: what cannot be adopted is to be made, and that tells why.
        """
        shared = os.path.join(self.directory, f"shared-{os.getpid()}-{next(self._numbers)}")
        try:
            if os.path.getsize(path) != size:
                return False
            share(path, shared)
            with open(shared, "rb", buffering=0) as file:
                right = hashlib.file_digest(file, "sha256").hexdigest() == digest.hex
            if right:
                os.replace(shared, self.blob_path(digest))
        except OSError:
            return False
        finally:
            with suppress(OSError):
                os.unlink(shared)
        return right

    def assume_remote(self, digest: Digest, size: int) -> None:
        """Take a blob for committed that is only where the image goes next."""
        self._elsewhere[digest] = size

    def blob_path(self, digest: Digest) -> str:
        """The file of a committed blob, until it moves to its final place."""
        return os.path.join(self.directory, blob_name(digest))

    def size(self, digest: Digest) -> int | None:
        """Bytes of a committed blob; None when there is none."""
        with suppress(FileNotFoundError):
            return os.path.getsize(self.blob_path(digest))
        return self._elsewhere.get(digest)

    def open(self, digest: Digest) -> BinaryIO:
        """A committed blob from its start."""
        with self.reported():
            return open(self.blob_path(digest), "rb", buffering=0)

    def blobs(self) -> tuple[str, ...]:
        """The hex digests of the committed blobs, in bytewise order."""
        return tuple(sorted(os.listdir(os.path.join(self.directory, BLOBS))))

    def write(self, name: str, data: bytes) -> str:
        """Write a file that is no blob into the staging directory; its path."""
        path = os.path.join(self.directory, name)
        with open(path, "xb") as file:
            file.write(data)
        return path


@contextmanager
def reported(what: str, directory: str = "") -> Iterator[None]:
    """Turn an `OSError` into an `OutputError` that names what was being written, and where."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as err:
        hint = _remedy(directory) if err.errno in _FULL else None
        raise OutputError(f"cannot write {what}: {err.strerror}", hint=hint) from err


def _remedy(directory: str) -> str:
    """What can be done where there is no room."""
    temporary = tempfile.gettempdir()
    if os.path.realpath(directory).startswith(f"{os.path.realpath(temporary)}/"):
        return f"{temporary} is full: name a directory with more room by TMPDIR"
    return "free some space there, or name another place with -o"


@contextmanager
def staged(home: str, what: str) -> Iterator[Workspace]:
    """A locked staging directory in `home`, removed at the end; left ones are removed first."""
    with ExitStack() as stack:
        with reported(what):
            directory = stack.enter_context(staging_directory(home))
        yield Workspace(directory, what)


@contextmanager
def staging_directory(home: str) -> Iterator[str]:
    """The same for other files on their way into `home`. Raises `OSError`."""
    _remove_left(home)
    directory, lock = _new_staging(home)
    try:
        yield directory
    finally:
        _remove(directory)
        os.close(lock)


@contextmanager
def temporary_directory() -> Iterator[str]:
    """One among the machine's temporary files, for what is read or sent from it."""
    with ExitStack() as stack:
        try:
            directory = stack.enter_context(staging_directory(tempfile.gettempdir()))
        except OSError as err:
            raise OutputError(f"cannot make a temporary directory: {err.strerror}") from err
        yield directory


def _new_staging(home: str) -> tuple[str, int]:
    """A new directory and a handle that holds its lock, for as long as it is open."""
    while True:
        directory = os.path.join(home, STAGING + secrets.token_hex(8))
        try:
            os.makedirs(directory, 0o700)
            handle = _claimed(directory)
        except BaseException:
            _remove(directory)
            raise
        if handle is not None:
            return directory, handle


def _claimed(directory: str) -> int | None:
    """A handle that holds the lock; None when another run took the directory for a left one."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        if _lock(handle) != "busy" and os.path.isdir(directory):
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
            path = os.path.join(directory, name)
            shutil.rmtree(path, ignore_errors=True)  # does nothing to a file
            with suppress(FileNotFoundError):
                os.unlink(path)
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, MARKER))
        os.rmdir(directory)


def _lock(handle: int) -> Literal["held", "busy", "unsupported"]:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "busy"
    except OSError:  # NFS has no locks for directories
        return "unsupported"
    return "held"


def _remove_left(home: str) -> None:
    """Remove the staging directories of killed runs, and the blobs that they had moved."""
    for name in os.listdir(home):
        if is_staging(name):
            # A name that is gone, is no directory, or may not be read is none of ours by now.
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                _remove_if_left(home, os.path.join(home, name))


def _remove_if_left(home: str, directory: str) -> None:
    """Remove what a killed run of ours left: it has the marker, or is empty, and no lock."""
    if os.lstat(directory).st_uid != os.geteuid():
        return
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if _lock(handle) != "held":
            return
        if _is_marked(directory):
            _sweep_left(home, directory)
            _remove(directory)
        else:
            with suppress(OSError):
                os.rmdir(directory)
    finally:
        os.close(handle)


def _is_marked(directory: str) -> bool:
    path = os.path.join(directory, MARKER)
    if not (os.path.lexists(path) and stat.S_ISREG(os.lstat(path).st_mode)):
        return False
    with open(path, "rb") as marker:
        return marker.read(len(_MAGIC) + 1) == _MAGIC


def _sweep_left(home: str, directory: str) -> None:
    with suppress(FileNotFoundError), open(os.path.join(directory, DOOMED)) as file:
        doomed = file.read().split()
        with locked(home):
            sweep(home, doomed)
