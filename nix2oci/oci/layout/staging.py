"""Putting an image together out of sight, so that it can appear all at once.

Everything is staged in a directory of its own on the file system of the final place, where moving
is renaming.
"""

from __future__ import annotations

import errno
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import BinaryIO, Self

from nix2oci.errors import OutputError
from nix2oci.host.scratch import remove_left_temporary, scratch_directory
from nix2oci.oci.layout.archive import blob_name
from nix2oci.oci.layout.checksum import checksum, is_blob
from nix2oci.oci.layout.reflink import share
from nix2oci.oci.layout.target_checks import locked, sweep
from nix2oci.oci.spec import BLOBS, Digest

DOOMED = "doomed"
"""In a staging directory: the hex digests of blobs that must go unless the index needs them."""


class StagedBlob:
    """A blob on its way into an image: write to it, then commit it under its digest.

    A blob that is not committed when its `with` block ends is gone. Any failure to write is an
    `OutputError` that names the image.
    """

    def __init__(self, workspace: Workspace, path: str, checksum: int | None = None) -> None:
        self._workspace = workspace
        self._path = path
        self.checksum = checksum
        """The `checksum` of what was written so far, where it is wanted."""
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
        self.checksum = checksum(data, self.checksum)
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

    def new_blob(self, *, summed: bool = False) -> StagedBlob:
        """A new blob to write to; use it in a `with` block. Forked processes may do so, too.

        One that is `summed` has a `checksum` in the end, for who reads it again.
        """
        name = f"new-{os.getpid()}-{next(self._numbers)}"
        return StagedBlob(self, os.path.join(self.directory, name), 0 if summed else None)

    def add(self, data: bytes) -> Digest:
        """Add a blob that is at hand."""
        digest = Digest.of(data)
        with self.new_blob() as blob:
            blob.write(data)
            blob.commit(digest, len(data))
        return digest

    def adopt(self, path: str, digest: Digest, size: int, noted: int | None = None) -> bool:
        """Add the file at `path` as the blob `digest`, where it is that; its bytes are read.

        `noted` is the `checksum` of that blob, where it is known: they are checked against it.
        It is cloned or linked where the file system can do that, else copied. From several
        threads at once. Raises nothing: what cannot be adopted is to be made, and that tells why.
        """
        shared = os.path.join(self.directory, f"shared-{os.getpid()}-{next(self._numbers)}")
        try:
            if os.path.getsize(path) != size:
                return False
            share(path, shared)
            with open(shared, "rb", buffering=0) as file:
                right = is_blob(file, digest, noted)
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
    remove_left_temporary()
    with scratch_directory(home, _sweep_left) as directory:
        yield directory


def _sweep_left(home: str, directory: str) -> None:
    """Remove the blobs that a killed run had moved to their places already."""
    with suppress(FileNotFoundError), open(os.path.join(directory, DOOMED)) as file:
        doomed = file.read().split()
        with locked(home):
            sweep(home, doomed)
