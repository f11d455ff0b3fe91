"""Who names a file: which places of a store path are written down, and where a name is.

The hard part is what a name is. A place is a store path with what follows it, up to what cannot
be in a path; a name stands alone, so that `app` is not in `app-1.0` or `wrapper`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator

from nix2oci.model.closure import StorePath
from nix2oci.nix.fact_cache import as_text
from nix2oci.nix.store_files import StoreFiles

END = rb"[^\x00-\x20\"'`:;,|&<>(){}\[\]$*?\\=\x7f-\xff]*"
_CHUNK = 1 << 22
_OVERLAP = 1 << 10
_MOST = 64
"""Places and files that are kept of one store path; more are as good as all."""

Place = tuple[str, str]
"""What follows a store path in a text, such as `/bin/app`, and the file that it is in."""


def entries(files: StoreFiles, top: bytes) -> Iterator[tuple[bytes, int]]:
    """All that is in a store path, directories left out, with the mode."""
    waiting = [top]
    while waiting:
        path = waiting.pop()
        mode = os.lstat(files.at(path)).st_mode
        if stat.S_ISDIR(mode):
            waiting += (path + b"/" + name for name in reversed(files.names(path)))
        else:
            yield path, mode


def texts(files: StoreFiles, top: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What may name something in a store path: targets of links and content, in pieces."""
    for path, mode in entries(files, top):
        if stat.S_ISLNK(mode):
            yield path, os.readlink(files.at(path))
        elif stat.S_ISREG(mode):
            with open(files.content(path), "rb") as file:
                kept = b""
                while data := file.read(_CHUNK):
                    yield path, kept + data
                    kept = data[-_OVERLAP:]


def places(
    files: StoreFiles, owner: StorePath, of: StorePath, only: bytes | None = None
) -> list[Place]:
    """What the files of `owner`, or one of them, name of the store path `of`.

    Each place once, with a file; kept with the store path that was searched.
    """
    top = str(owner).encode()
    asked = top if only is None else top + b"/" + only

    def search() -> list[Place]:
        needle = of.hash_part.encode()
        found: dict[bytes, bytes] = {}
        pattern = re.compile(re.escape(needle) + rb"-[-.+_?=0-9A-Za-z]*(" + END + rb")")
        for path, data in texts(files, asked):
            if needle in data:
                for match in pattern.finditer(data):
                    found.setdefault(match[1], path[len(top) + 1 :])
            if len(found) > _MOST:
                break
        return [(as_text(place), as_text(file)) for place, file in sorted(found.items())][:_MOST]

    return [
        (place, file)
        for place, file in files.get_or_compute(asked, f"places {of.hash_part}", search)
    ]


def is_full(found: list[Place]) -> bool:
    """Whether there are more than are kept."""
    return len(found) >= _MOST


def naming(files: StoreFiles, owner: StorePath, names: Iterable[bytes]) -> dict[bytes, list[str]]:
    """The files of a store path, within it, in which each name stands alone; kept with it.

    All names that are new are looked for in one read.
    """
    info = files.owners[owner.base.encode()]
    asked = {name: f"naming {as_text(name)}" for name in names}
    known = files.facts_known.facts(info)
    new = [name for name, question in asked.items() if question not in known]
    found = _naming(files, str(owner).encode(), new) if new else {}
    for name in new:
        files.facts_known.record(info, asked[name], found[name])
    return {n: found[n] if n in found else known[question] for n, question in asked.items()}


def _naming(files: StoreFiles, top: bytes, names: Iterable[bytes]) -> dict[bytes, list[str]]:
    alone = {n: re.compile(rb"(?<![\w.+-])" + re.escape(n) + rb"(?![\w+-])") for n in names}
    found: dict[bytes, dict[bytes, None]] = {name: {} for name in alone}
    for path, data in texts(files, top):
        for name, pattern in alone.items():
            is_new = path not in found[name] and len(found[name]) < _MOST
            if is_new and name in data and pattern.search(data):
                found[name][path] = None
    return {n: [as_text(path[len(top) + 1 :]) for path in paths] for n, paths in found.items()}
