"""The outline of a closure on disk: all names, modes and links, and the content of few files.

What a survey and a scan read of a store they read here as well, and so decide the same; a file
without its content is a hole of the right size. The hard part is to know beforehand which content
will be asked for: a guess that is wrong costs a second read of a NAR, never another answer. What
an earlier run noted of a store object is drawn without reading it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import IO, Any

from msgspec import Struct, field

from nix2oci.errors import OutputError
from nix2oci.host.scratch import remove_tree
from nix2oci.model.closure import Closure, PathInfo, StorePath, store_path_of
from nix2oci.model.tree import Directory, Entry, File, Symlink
from nix2oci.nix.case_hack import NewNames, OnDisk, folds_case
from nix2oci.nix.fact_cache import FactCache, as_bytes, as_text
from nix2oci.nix.scan import owns_shell
from nix2oci.nix.shell_mentions import mentions_of
from nix2oci.nix.store_files import StoreFiles

SMALL = 1 << 24
"""A NAR up to this size is kept whole, and is not read again; of others a program in bin/ is."""

BUDGET = 1 << 28
"""Bytes that may be kept in this way. What names a shell, and what is a program of a root, is
kept in any case: it will be asked for."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_AGAIN = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC

_MAX_NOTED = 20_000
"""Entries: the outline of a larger object is drawn again each time."""

_OUTLINE = "outline"

_MOST_ASKED = 3
"""Times that an object is read again for some of its files; the last time all of them are kept."""

_AHEAD = 4
"""Store objects that are on their way: another machine takes its time to answer."""

Read = Callable[[PathInfo], Iterator[Entry]]
"""The entries of a store object in NAR order, checked against its NAR hash at the end.

They are sent for with the call.
"""


class StoreSkeleton(Struct):
    """The outline of `closure` below the directory `root`; `read` gives its objects' entries."""

    closure: Closure
    root: str
    read: Read
    facts_known: FactCache = field(default_factory=FactCache)
    small: int = SMALL
    budget: int = BUDGET
    """What is left of it."""
    whole: set[StorePath] = field(default_factory=set)
    """Store objects with the content of every file."""
    case_hack: bool = False
    """Whether names that differ in case alone are one in `root`; they are written otherwise."""
    _kept: set[bytes] = field(default_factory=set)
    _asked: dict[StorePath, int] = field(default_factory=dict)
    """How often content of a store object was missing."""
    _new: NewNames | None = None
    """Names for what is written of the object that is drawn."""

    def __post_init__(self) -> None:
        self.case_hack = folds_case(self.root)

    def materialize(self, report_bytes: Callable[[int], None] = lambda _: None) -> None:
        """Read every store object once, if nothing is noted of it; keep what decisions will need.

        `report_bytes` is given the NAR size of each when it was read. Raises what `read` raises,
        and `OutputError` when the outline cannot be written.
        """
        files = StoreFiles.of(self.closure, self.root, case_hack=self.case_hack)
        searched: dict[StorePath, frozenset[StorePath]] = {}
        with _writing(self.root), closing(self._sent()) as sent:
            os.makedirs(self.root + self.closure.store_dir, exist_ok=True)
            for path, entries in sent:
                searched[path] = self._shells(files, path)
                self._draw_once(path, entries, searched[path])
                report_bytes(self.closure.infos[path].nar_size)
            for path, shells in searched.items():
                if path not in self.whole and self._shells(files, path) != shells:
                    # What makes it a shell lies in a path that it does not refer to.
                    self._erase(path)
                    self._draw_once(path, None, self._shells(files, path))

    def fetch(self, path: bytes) -> None:
        """See to it that a file has its content, and small ones beside it: they may be next.

        `path` is absolute, has no links on its way, and is drawn. The object is read again as a
        whole, so what came is part of what has the recorded NAR hash. Who asks a third time asks
        for all of it, and gets that.
        """
        owner = store_path_of(os.fsdecode(path), self.closure.store_dir)
        if owner is None or owner in self.whole or path in self._kept:
            return
        above = path.rpartition(b"/")[0]
        disk = OnDisk(os.fsencode(self.root), self.closure.store_dir.encode(), self.case_hack)
        self._asked[owner] = self._asked.get(owner, 0) + 1
        every = self._asked[owner] >= _MOST_ASKED
        with _writing(self.root):
            for entry in self.read(self.closure.infos[owner]):
                if not isinstance(entry, File) or b"/" + entry.path in self._kept:
                    continue
                name = b"/" + entry.path
                is_beside = name.rpartition(b"/")[0] == above and entry.size <= self.small
                if every or name == path or is_beside:
                    self._write(entry, disk.at(name), _AGAIN)
        if every:
            self.whole.add(owner)

    def has_room_for(self, info: PathInfo) -> bool:
        """Whether an object is kept whole, as far as that can be said before it is drawn."""
        return info.nar_size <= min(self.small, self.budget)

    def _sent(self) -> Generator[tuple[StorePath, Iterator[Entry] | None]]:
        """Every store object after all that it refers to, a few of them sent for ahead.

        What is noted is not sent for.
        """
        waiting: deque[tuple[StorePath, Iterator[Entry] | None]] = deque()
        try:
            for path in self.closure.references_first():
                info = self.closure.infos[path]
                noted = _OUTLINE in self.facts_known.facts(info)
                waiting.append((path, None if noted else self.read(info)))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            waiting.clear()  # what nobody will read is called off

    def _shells(self, files: StoreFiles, path: StorePath) -> frozenset[StorePath]:
        """The shells that a store object refers to, as far as they are drawn."""
        references = self.closure.references(path)
        return frozenset(each for each in references if owns_shell(files, each))

    def _draw_once(
        self, path: StorePath, entries: Iterator[Entry] | None, shells: frozenset[StorePath]
    ) -> None:
        """Draw what is noted of an object, or else the object, and note it."""
        info = self.closure.infos[path]
        self._new = NewNames(os.fsencode(self.root)) if self.case_hack else None
        facts = self.facts_known.facts(info)
        searched = mentions_of(shell.hash_part for shell in shells)
        if _OUTLINE in facts and (not shells or searched in facts):
            for kind, name, what in facts[_OUTLINE]:
                self._lay(as_bytes(f"{path}{name}"), kind, what)
            return
        found = self._draw(path, entries or self.read(info), shells)
        if len(found) <= _MAX_NOTED:
            self.facts_known.record(info, _OUTLINE, found)

    def _lay(self, path: bytes, kind: str, what: Any) -> None:
        """One entry without content, at an absolute path."""
        place = self._new_place(path, directory=kind == "d")
        match kind:
            case "d":
                os.mkdir(place, 0o700)
            case "l":
                os.symlink(as_bytes(what), place)
            case _:
                with open(os.open(place, _NEW, 0o700 if kind == "x" else 0o600), "wb") as file:
                    file.truncate(what)

    def _draw(
        self, path: StorePath, entries: Iterable[Entry], shells: Iterable[StorePath]
    ) -> list[list[Any]]:
        """Draw an object; the kind, name and size or target of each of its entries."""
        info = self.closure.infos[path]
        found: list[list[Any]] = []
        needles = [shell.hash_part.encode() for shell in shells]
        whole = self.has_room_for(info)
        is_root = path in self.closure.roots
        for entry in entries:
            place = self._new_place(b"/" + entry.path, directory=isinstance(entry, Directory))
            if len(found) <= _MAX_NOTED:
                found.append(_note(entry, len(str(path)) - 1))
            match entry:
                case Directory():
                    os.mkdir(place, 0o700)
                case Symlink(_, target):
                    os.symlink(target, place)
                case File() if whole or self._is_program(entry, of_root=is_root):
                    self._write(entry, place, _NEW, record=not whole)
                    self.budget -= entry.size
                case File():
                    self._search(entry, place, needles)
        if whole:
            self.whole.add(path)
        return found

    def _erase(self, path: StorePath) -> None:
        inside = f"{path}/".encode()
        self._kept = {name for name in self._kept if not name.startswith(inside)}
        remove_tree(f"{self.root}{path}")

    def _is_program(self, entry: File, *, of_root: bool) -> bool:
        """Whether it may well be a wrapper, or what one starts."""
        in_bin = bool(entry.mode & 0o100) and b"/bin/" in entry.path
        return in_bin and (of_root or entry.size <= min(self.small, self.budget))

    def _write(self, entry: File, place: bytes, flags: int, *, record: bool = True) -> None:
        with _opened(entry, place, flags) as file:
            for chunk in entry.chunks:
                file.write(chunk)
        if record:
            self._kept.add(b"/" + entry.path)

    def _search(self, entry: File, place: bytes, needles: list[bytes]) -> None:
        """Write a file, and make it a hole when it has none of the needles in it."""
        found, before = False, b""
        with _opened(entry, place, _NEW) as file:
            for chunk in entry.chunks if needles else ():
                file.write(chunk)
                window = before + chunk
                found = found or any(needle in window for needle in needles)
                before = window[1 - len(needles[0]) :]
            if not found:
                file.truncate(0)
                file.truncate(entry.size)
        if found:
            self._kept.add(b"/" + entry.path)

    def _new_place(self, path: bytes, *, directory: bool) -> bytes:
        """Where an entry goes that is not there yet."""
        if self._new is None:
            return os.fsencode(self.root) + path
        return self._new.place(path, directory=directory)


def _opened(entry: File, place: bytes, flags: int) -> IO[bytes]:
    return open(os.open(place, flags, 0o600 | entry.mode & 0o100), "wb")


def _note(entry: Entry, above: int) -> list[Any]:
    """An entry as `_lay` has it, its name without the first `above` bytes."""
    name = as_text(entry.path[above:])
    if isinstance(entry, File):
        return ["x" if entry.mode & 0o100 else "f", name, entry.size]
    if isinstance(entry, Symlink):
        return ["l", name, as_text(entry.target)]
    return ["d", name, None]


@contextmanager
def _writing(root: str) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise OutputError(
            f"cannot write to {root}: {err.strerror}", hint="TMPDIR may name another directory"
        ) from err
