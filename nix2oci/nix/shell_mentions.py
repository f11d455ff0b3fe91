"""Which files of a closure name a shell, and how.

Nix knows which store paths refer to which, so only those that refer to a shell are read. The hard
part is to miss nothing: all files are searched for the hash part of the shell's store path, as Nix
itself does, and where Nix recorded a reference that is in no file, that counts as one, too.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from zlib import crc32

from msgspec.structs import replace

from nix2oci.host.differences import here
from nix2oci.host.sharing import on_all_cores
from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.shell_references import ReferenceKind, ShellReference
from nix2oci.nix.case_hack import name_of
from nix2oci.nix.fact_cache import as_bytes, as_text
from nix2oci.nix.needles import find, holding
from nix2oci.nix.store_files import StoreFiles

_CHUNK = 1 << 20
_HEAD = 4096
_LINE = 1024
"""Bytes of a line that are shown on either side of what was found."""

_WORTH_SHARING = 1 << 24
"""Bytes: a second process costs some milliseconds, in which one core searches about as many."""

_Named = Mapping[bytes, StorePath]
"""The shells that a store path refers to, by their hash parts."""


def shell_mentions(
    closure: Closure, files: StoreFiles, shells: Iterable[StorePath]
) -> Iterator[ShellReference]:
    """All that names one of the shells, in the order of store paths, files and shells.

    Raises `OSError` where a file cannot be read.
    """
    wanted = frozenset(shells)
    named = {
        owner: {s.hash_part.encode(): s for s in closure.references(owner) if s in wanted}
        for owner in closure
    }
    found = _noted(files, {owner: shells for owner, shells in named.items() if shells})
    for owner, mentions in found.items():
        yield from mentions
        for shell in sorted(set(named[owner].values()) - {each.shell for each in mentions}):
            yield ShellReference(owner, str(owner).encode(), shell, ReferenceKind.OTHER)


def _noted(
    files: StoreFiles, named: Mapping[StorePath, _Named]
) -> dict[StorePath, list[ShellReference]]:
    """The mentions in store paths, in order: searched for once, as long as these are the same."""
    asked = {o: (str(o).encode(), mentions_of(map(bytes.decode, of))) for o, of in named.items()}
    new = {owner: of for owner, of in named.items() if not files.is_known(*asked[owner])}
    searched = _search(files, new)
    found = {}
    for owner, of in named.items():
        answer = partial(_as_notes, searched.get(owner, ()))
        found[owner] = _from_notes(owner, of, files.get_or_compute(*asked[owner], answer))
    return found


def mentions_of(hash_parts: Iterable[str]) -> str:
    """The question for what names shells in a store path."""
    return f"mentions {' '.join(sorted(hash_parts))}"


_Note = tuple[str, str, str, int | None, str]


def _as_notes(mentions: Iterable[ShellReference]) -> list[_Note]:
    return [_as_note(mention) for mention in sorted(mentions, key=_order)]


def _as_note(mention: ShellReference) -> _Note:
    inside = mention.file[len(str(mention.owner)) :]
    shell, kind = mention.shell.hash_part, str(mention.kind)
    return as_text(inside), shell, kind, mention.line, as_text(mention.text)


def _from_notes(owner: StorePath, named: _Named, notes: Iterable[_Note]) -> list[ShellReference]:
    top = str(owner).encode()
    return [
        ShellReference(
            owner,
            top + as_bytes(inside),
            named[shell.encode()],
            ReferenceKind(kind),
            line,
            as_bytes(text),
        )
        for inside, shell, kind, line, text in notes
    ]


def _order(mention: ShellReference) -> tuple[bytes, StorePath, int, ReferenceKind]:
    return mention.file, mention.shell, mention.line or 0, mention.kind


def _search(
    files: StoreFiles, named: Mapping[StorePath, _Named]
) -> dict[StorePath, list[ShellReference]]:
    """The mentions in store paths, in any order; each core reads some of the files.

    Which of them is no matter of the order in which a directory lists them, which nobody promises
    to be the same twice.
    """
    weight = sum(files.owners[owner.base.encode()].nar_size for owner in named)
    shares = here().cores if weight > _WORTH_SHARING else 1

    def one(share: int) -> list[ShellReference]:
        return [m for owner, of in named.items() for m in _of_path(files, owner, of, share, shares)]

    made = on_all_cores(range(shares), one, lambda _: None, purpose="look for shells")
    found: dict[StorePath, list[ShellReference]] = {owner: [] for owner in named}
    for mention in chain.from_iterable(made.values()):
        found[mention.owner].append(mention)
    return found


def _of_path(
    files: StoreFiles, owner: StorePath, named: _Named, share: int, shares: int
) -> Iterator[ShellReference]:
    """What is in one of the shares of a store path's files, in the first with names and links."""
    others: list[ShellReference] = []
    regular = _regular_files(files, owner, named, others)
    mine = (path for path in regular if crc32(path) % shares == share)
    for path in holding(((files.at(path), path) for path in mine), named):
        yield from _of_file(files, owner, path, named)
    if share == 0:
        yield from others


def _regular_files(
    files: StoreFiles,
    owner: StorePath,
    named: _Named,
    others: list[ShellReference],
) -> Iterator[bytes]:
    """The regular files of a store path; what names and links mention is added to `others`."""
    top = str(owner).encode()
    waiting = [top] if stat.S_ISDIR(os.lstat(files.at(top)).st_mode) else []
    if not waiting:
        if os.path.islink(files.at(top)):
            others += _of_link(files, owner, top, named)
        else:
            yield top
    while waiting:
        directory = waiting.pop()
        with os.scandir(files.at(directory)) as entries:
            for entry in entries:
                name = name_of(entry.name, files.at(directory), case_hack=files.disk.case_hack)
                path = directory + b"/" + name
                for needle in filter(name.__contains__, named):
                    others.append(ShellReference(owner, path, named[needle], ReferenceKind.OTHER))
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif entry.is_symlink():
                    others += _of_link(files, owner, path, named)
                elif entry.is_file(follow_symlinks=False):
                    yield path


def _of_link(
    files: StoreFiles, owner: StorePath, path: bytes, named: _Named
) -> Iterator[ShellReference]:
    target = os.readlink(files.at(path))
    for needle in filter(target.__contains__, named):
        yield ShellReference(owner, path, named[needle], ReferenceKind.LINK, text=target)


def _of_file(
    files: StoreFiles, owner: StorePath, path: bytes, named: _Named
) -> Iterator[ShellReference]:
    fd = os.open(files.at(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        for needle, at in find(fd, named).items():
            mention, first = (
                ShellReference(owner, path, named[needle], ReferenceKind.BINARY),
                _first_line(fd),
            )
            rest = at
            if at < len(first):
                yield replace(mention, kind=ReferenceKind.SHEBANG, line=1, text=first)
                rest = find(fd, [needle], len(first)).get(needle, -1)
            if rest >= 0:
                yield _located(fd, mention, rest)
    finally:
        os.close(fd)


def _first_line(fd: int) -> bytes:
    """The first line of a script, without its end; empty where the file is none."""
    head = os.pread(fd, _HEAD, 0)
    return head.partition(b"\n")[0] if head.startswith(b"#!") else b""


def _located(fd: int, mention: ShellReference, at: int) -> ShellReference:
    """The mention with the line that has it, or as it is for a file that is not text."""
    start = max(0, at - _LINE)
    around = os.pread(fd, 2 * _LINE, start)
    if b"\0" in around or b"\0" in os.pread(fd, _HEAD, 0):
        return mention
    before, after = around[: at - start], around[at - start :]
    text = before.rpartition(b"\n")[2] + after.partition(b"\n")[0]
    lines = sum(os.pread(fd, min(_CHUNK, at - i), i).count(b"\n") for i in range(0, at, _CHUNK))
    return replace(mention, kind=ReferenceKind.TEXT, line=lines + 1, text=text)
