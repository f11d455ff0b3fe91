"""Any tree, tar file or directory as one line for each entry, so that a whole root can be compared.

    drwxr-xr-x 0:0 usr/bin
    lrwxrwxrwx 0:0 bin -> usr/bin
    -rw-r--r-- 0:0 etc/passwd sha256:f1dfe37f

Names are relative, the root is `.`, what cannot be printed is escaped; a file has the first 8 hex
digits of its SHA-256. A tree and a directory come in tar order, a tar file in its own: there the
order is part of what is claimed.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from io import IOBase

from nix2oci.model.tree import ROOT, Directory, Entry, File, Whiteout, sort_key
from nix2oci.text import display

_TAR_KINDS = {
    tarfile.LNKTYPE: "h",
    tarfile.CHRTYPE: "c",
    tarfile.BLKTYPE: "b",
    tarfile.FIFOTYPE: "p",
}


def treedump(what: Iterable[Entry] | str | os.PathLike[str] | IOBase) -> list[str]:
    """The lines of a tree or of entries, a directory (its path), or a tar (its path, or open)."""
    if isinstance(what, str | os.PathLike):
        if os.path.isdir(what):
            return list(_directory(os.fsencode(what)))
        with tarfile.open(what) as tar:
            return list(_tar(tar))
    if isinstance(what, IOBase):
        with tarfile.open(fileobj=what) as tar:
            return list(_tar(tar))
    return [_entry(entry) for entry in what]


def _entry(entry: Entry) -> str:
    if isinstance(entry, Directory):
        return _line(stat.S_IFDIR | entry.mode, entry.uid, entry.gid, entry.path)
    if isinstance(entry, File):
        mode = stat.S_IFREG | entry.mode
        return _line(mode, entry.uid, entry.gid, entry.path, _digest(b"".join(entry.chunks)))
    if isinstance(entry, Whiteout):
        return _line(stat.S_IFREG | 0o444, 0, 0, entry.path, _digest(b""))
    return _line(stat.S_IFLNK | 0o777, 0, 0, entry.path, f"-> {display(entry.target)}")


def _directory(top: bytes) -> Iterator[str]:
    paths = [ROOT]
    for directory, directories, files in os.walk(top):
        here = os.path.relpath(directory, top)
        paths += (os.path.normpath(os.path.join(here, name)) for name in directories + files)
    for path in sorted(paths, key=sort_key):
        full = os.path.join(top, path)
        status = os.lstat(full)
        rest = ""
        if stat.S_ISLNK(status.st_mode):
            rest = f"-> {display(os.readlink(full))}"
        elif stat.S_ISREG(status.st_mode):
            with open(full, "rb") as file:
                rest = _digest(file.read())
        yield _line(status.st_mode, status.st_uid, status.st_gid, path, rest)


def _tar(tar: tarfile.TarFile) -> Iterator[str]:
    for member in tar:
        path = os.fsencode(member.name).removeprefix(b"./") or ROOT
        link = display(os.fsencode(member.linkname))
        if member.isdir():
            line = _line(stat.S_IFDIR | member.mode, member.uid, member.gid, path)
        elif member.issym():
            line = _line(stat.S_IFLNK | member.mode, member.uid, member.gid, path, f"-> {link}")
        elif member.isreg():
            content = tar.extractfile(member)
            assert content is not None
            mode = stat.S_IFREG | member.mode
            line = _line(mode, member.uid, member.gid, path, _digest(content.read()))
        else:
            rest = f"-> {link}" if member.islnk() else ""
            line = _line(stat.S_IFREG | member.mode, member.uid, member.gid, path, rest)
            line = _TAR_KINDS.get(member.type, "?") + line[1:]
        yield line


def _line(mode: int, uid: int, gid: int, path: bytes, rest: str = "") -> str:
    return f"{stat.filemode(mode)} {uid}:{gid} {display(path)} {rest}".rstrip()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()[:8]}"
