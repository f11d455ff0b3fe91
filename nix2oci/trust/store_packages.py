"""The packages of languages in the files of store paths.

Few files are opened: those whose names say that they describe a package, and of programs the
tables of sections. What was found is kept with the store path (`nix.fact_cache`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader

from nix2oci.host.regular_files import open_file
from nix2oci.model.closure import Closure, PathInfo, StorePath
from nix2oci.model.tree import Entry, File
from nix2oci.nix.fact_cache import as_bytes, as_text
from nix2oci.nix.store_files import StoreFiles, unreadable
from nix2oci.text import display
from nix2oci.trust.components import LanguagePackage
from nix2oci.trust.languages.described_by import reader_of, streamed_packages
from nix2oci.trust.languages.found import Found

_QUESTION = "packages 1"
"""Counted up with every change of what is found."""


Entries = Callable[[PathInfo], Iterator[Entry]]
"""Those of a store object, to be read once (`nix.store.Store.entries`)."""


def language_packages(
    closure: Closure, files: StoreFiles, entries: Entries | None = None
) -> dict[StorePath, tuple[LanguagePackage, ...]]:
    """Of each store path that has any, sorted; `files` are those of the closure.

    With `entries` each store object that nothing is known of is read once as a whole: from another
    store, files that are asked for one by one would come many times. Raises `StoreError` where a
    file cannot be read.
    """
    try:
        found = {path: _known(closure.infos[path], files, entries) for path in closure}
    except OSError as err:
        raise unreadable(err) from err
    return {path: packages for path, packages in found.items() if packages}


def _known(
    info: PathInfo, files: StoreFiles, entries: Entries | None
) -> tuple[LanguagePackage, ...]:
    top = str(info.path)

    def search() -> list[tuple[str, str, str, str, str]]:
        found = _in_entries(top, entries(info)) if entries else _search(top.encode(), files)
        return [
            (as_text(inside), each.kind, each.name, each.version, each.license)
            for inside, each in sorted(set(found))
        ]

    return tuple(
        LanguagePackage(top + display(as_bytes(inside)), *rest)
        for inside, *rest in files.get_or_compute(top.encode(), _QUESTION, search)
    )


def _search(top: bytes, files: StoreFiles) -> Iterator[tuple[bytes, Found]]:
    """Each package, with the file that has it as a path relative to the store path."""
    for path, executable in _regular(top, files):
        reader = reader_of(path, executable=executable)
        if reader is None:
            continue
        with BufferedReader(open_file(os.fsdecode(files.content(path)))) as file:
            for each in reader(file, display(path.rpartition(b"/")[2])):
                yield path[len(top) :], each


def _in_entries(top: str, entries: Iterable[Entry]) -> Iterator[tuple[bytes, Found]]:
    """The same of entries as they come."""
    for entry in entries:
        if isinstance(entry, File):
            pieces = iter(entry.chunks)
            executable = bool(entry.mode & 0o100)
            for each in streamed_packages(entry.path, pieces, executable=executable):
                yield entry.path[len(top) - 1 :], each
            for _ in pieces:
                pass


def _regular(top: bytes, files: StoreFiles) -> Iterator[tuple[bytes, bool]]:
    """The regular files of a store object, and whether each is executable."""
    mode = os.lstat(files.at(top)).st_mode
    if stat.S_ISREG(mode):
        yield top, bool(mode & stat.S_IXUSR)
    waiting = [top] if stat.S_ISDIR(mode) else []
    while waiting:
        path = waiting.pop()
        with os.scandir(files.at(path)) as entries:
            for entry in entries:
                inside = path + b"/" + entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(inside)
                elif entry.is_file(follow_symlinks=False):
                    mode = entry.stat(follow_symlinks=False).st_mode
                    yield inside, bool(mode & stat.S_IXUSR)
