"""What a closure has in its directories of programs, and the bytes of one of them.

sbin/ counts too: that is where busybox has half of its names.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from nix2oci.model.closure import Closure, store_path_of
from nix2oci.model.tree import File
from nix2oci.nix.case_hack import CaseHack
from nix2oci.nix.store import Store
from nix2oci.nix.store_files import StoreFiles, unreadable
from nix2oci.text import display

_DIRECTORIES = (b"bin", b"sbin")


def programs(
    closure: Closure, physical_root: str = "", *, case_hack: CaseHack = False
) -> Mapping[bytes, bytes]:
    """The programs of the roots: by name, the absolute path that is the file, links followed.

    Of two of a name the first root's counts, and bin/ before sbin/. Hidden names are left out.
    Raises `StoreError` where a store path is unreadable.
    """
    files = StoreFiles.of(closure, physical_root, case_hack=case_hack)
    found: dict[bytes, bytes] = {}
    try:
        for root in closure.roots:
            for directory in _DIRECTORIES:
                for name, real in _in_directory(files, os.fsencode(str(root)) + b"/" + directory):
                    found.setdefault(name, real)
    except OSError as err:
        raise unreadable(err) from err
    return found


def _in_directory(files: StoreFiles, path: bytes) -> list[tuple[bytes, bytes]]:
    directory = files.real_directory(path)
    found = []
    for name in files.names(directory) if directory else ():
        real, mode = files.follow(directory or b"", name)
        if not name.startswith(b".") and stat.S_ISREG(mode) and mode & stat.S_IXUSR:
            found.append((name, real))
    return found


def read_file(closure: Closure, path: bytes, store: Store) -> bytes:
    """The bytes of a file in a closure; `path` is absolute and has no links.

    The whole store object is read: what is returned is part of what has the recorded NAR hash.
    Raises `StoreError` where it has not.
    """
    owner = store_path_of(os.fsdecode(path), closure.store_dir)
    if owner is None or owner not in closure:
        raise AssertionError(f"/{display(path)} is not in the closure")
    data = b""
    for entry in store.entries(closure.infos[owner]):
        if isinstance(entry, File):
            chunks = (chunk for chunk in entry.chunks)
            if entry.path == path[1:]:
                data = b"".join(chunks)
            else:
                for _ in chunks:  # it counts for the NAR hash all the same
                    pass
    return data
