"""Small JSON objects as files, each sealed with a hash over its name and its content.

The seal tells a torn, changed or misplaced file from a good one. The time of the last use is the
file's own, which is all that eviction asks for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from msgspec import Struct

from nix2oci.host.regular_files import read_file

TEMPORARY = ".new-"
"""How the names of files begin that are not whole yet."""

_SEAL = 64
MAX_BYTES = 16 << 20


class SealedJson(Struct, frozen=True):
    """The JSON objects in one directory, by name. Nothing here raises `OSError`."""

    directory: str
    warn: Callable[[str], None] = lambda _: None
    remark: Callable[[str], None] = lambda _: None

    def read(self, name: str) -> dict[str, Any] | None:
        """An object that is as it was written, and counts as used now; a damaged one is removed."""
        path = os.path.join(self.directory, name)
        try:
            data = read_file(path, MAX_BYTES)
            body = data[_SEAL + 1 :]
            found = _object(body) if data[:_SEAL] == _seal(name, body) else None
            if found is None:
                self.warn(f"{path} is damaged and is not used")
                os.unlink(path)
                return None
        except FileNotFoundError:
            return None
        except OSError as err:
            self.remark(f"cannot use {path}: {err.strerror}")
            return None
        with suppress(OSError):  # what cannot be written may be used all the same
            os.utime(path)
        return found

    def write(self, name: str, document: Mapping[str, object]) -> None:
        """Keep an object, whole or not at all; where that is impossible it is not kept."""
        body = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        try:
            make_private(self.directory)
            handle, path = _new_file(self.directory)
            try:
                with open(handle, "wb") as file:
                    file.write(_seal(name, body) + b"\n" + body)
                os.replace(path, os.path.join(self.directory, name))
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(path)
                raise
        except OSError as err:
            self.remark(f"nothing is kept in {self.directory}: {err.strerror}")

    def remove(self, name: str) -> None:
        with suppress(OSError):
            os.unlink(os.path.join(self.directory, name))


def _new_file(directory: str) -> tuple[int, str]:
    """A new file and its path; it is locked until it is closed, for who removes what was left."""
    import tempfile  # noqa: PLC0415  # start-up counts

    from nix2oci.host.scratch import lock  # noqa: PLC0415

    while True:
        handle, path = tempfile.mkstemp(prefix=TEMPORARY, dir=directory)
        if lock(handle) != "busy" and os.path.lexists(path):
            return handle, path
        os.close(handle)  # it was taken for one that was left


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def make_private(path: str) -> None:
    """Make a directory and those that are missing above it: 0700, whatever the umask.

    Nobody else may read or change what is in it, since it goes into images.

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


def _seal(name: str, body: bytes) -> bytes:
    import hashlib  # noqa: PLC0415  # start-up counts

    return hashlib.sha256(name.encode() + b"\n" + body).hexdigest().encode()
