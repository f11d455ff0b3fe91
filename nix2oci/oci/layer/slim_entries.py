"""The entries of a store layer without what rules leave out, and equal files as hard links.

Whatever is left out is read all the same: it counts for the NAR hash of the whole store path, which
is checked as ever.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

from msgspec.structs import replace

from nix2oci.model.slim_rules import RuleSet
from nix2oci.model.tree import Directory, Entry, File, HardLink, Symlink
from nix2oci.oci.layer.untar import DIRECTORY, FILE, HARDLINK, SYMLINK
from nix2oci.oci.layer.workers import LayerJob
from nix2oci.oci.spec import store_paths_digest
from nix2oci.oci.validate.nar_hash import NarHash

_PIECE = 1 << 20
"""Bytes of a file that are in memory while it waits to be compared."""

_Kept = Directory | File | Symlink | HardLink


def slim_job(job: LayerJob, rules: RuleSet, store_dir: str) -> LayerJob:
    """The job of a store layer, of which something is left out."""
    entries = SlimEntries(job.entries, rules, store_dir[1:].encode())
    return replace(job, entries=entries, slimmed=entries.slimmed)


class SlimEntries:
    """The entries of a layer of store objects that are left; to be used up once."""

    def __init__(self, entries: Iterable[Entry], rules: RuleSet, store_dir: bytes) -> None:
        """`entries` are those of `nix.store.store_layer`, `store_dir` is `nix/store`."""
        self._entries = entries
        self._rules = rules
        self._depth = store_dir.count(b"/") + 1
        self._hashes: dict[str, bytes] = {}

    def __iter__(self) -> Iterator[Entry]:
        current, seen, nar = b"", _Seen(), NarHash()
        for entry in what_is_left(self._entries, self._rules, self._depth):
            parts = entry.path.split(b"/")
            if len(parts) <= self._depth:
                yield entry
                continue
            top = b"/".join(parts[: self._depth + 1])
            if top != current:
                self._end(current, nar)
                current, seen, nar = top, _Seen(), NarHash()
            shown = seen.one(entry) if self._rules.duplicates else entry
            yield from _hashed(shown, tuple(parts[self._depth + 1 :]), nar)
        self._end(current, nar)

    def _end(self, path: bytes, nar: NarHash) -> None:
        if path:
            self._hashes[f"/{path.decode()}"] = nar.end()

    def slimmed(self) -> str:
        """What is in the layer, as `SLIMMED` has it, once the entries are used up."""
        return str(store_paths_digest(self._hashes))


def what_is_left(entries: Iterable[Entry], rules: RuleSet, depth: int) -> Iterator[_Kept]:
    """What no rule leaves out. A directory of which all is left out goes with it.

    `depth` is the number of directories above a store path: 2 for `nix/store`.
    """
    waiting: list[Directory] = []
    for entry in entries:
        assert isinstance(entry, _Kept)
        inside = entry.path.split(b"/", depth + 1)[depth + 1 :]
        if inside and rules.leaves_out(inside[0]):
            if isinstance(entry, Directory):
                waiting = [each for each in waiting if _is_above(each, entry)]
                waiting.append(entry)
            elif isinstance(entry, File):
                for _ in entry.chunks:
                    pass
            continue
        yield from (each for each in waiting if _is_above(each, entry))
        waiting = []
        yield entry


def _is_above(directory: Directory, entry: Entry) -> bool:
    return entry.path.startswith(directory.path + b"/")


class _Seen:
    """The files of one store object, by what is in them."""

    def __init__(self) -> None:
        self._paths: dict[tuple[int, int, bytes], bytes] = {}
        self._sizes: set[tuple[int, int]] = set()

    def one(self, entry: _Kept) -> _Kept:
        """The entry itself, or a further name of an equal file that came before.

        A file that is large is read ahead, into a file of its own, where one of its size came
        before: only then can it be equal.
        """
        if not isinstance(entry, File) or not entry.size:
            return entry
        if isinstance(entry.chunks, tuple):
            return self._known(entry, hashlib.sha256(b"".join(entry.chunks)).digest())
        if (entry.size, entry.mode) not in self._sizes:
            return File(entry.path, entry.size, self._noted(entry), entry.mode)
        stack = ExitStack()
        copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        digest = hashlib.sha256()
        for chunk in entry.chunks:
            digest.update(chunk)
            copy.write(chunk)
        found = self._known(entry, digest.digest())
        if found is not entry:
            stack.close()
            return found

        def again() -> Iterator[bytes]:
            with stack:
                copy.seek(0)
                while chunk := copy.read(_PIECE):
                    yield chunk

        return File(entry.path, entry.size, again(), entry.mode)

    def _known(self, entry: File, digest: bytes) -> File | HardLink:
        first = self._paths.setdefault((entry.size, entry.mode, digest), entry.path)
        self._sizes.add((entry.size, entry.mode))
        return entry if first == entry.path else HardLink(entry.path, first, entry.mode)

    def _noted(self, entry: File) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for chunk in entry.chunks:
            digest.update(chunk)
            yield chunk
        self._known(entry, digest.digest())


def _hashed(entry: _Kept, parts: tuple[bytes, ...], nar: NarHash) -> Iterator[Entry]:
    """The entry, added to the hash of its store path while it is used."""
    match entry:
        case Directory():
            nar.add(parts, DIRECTORY)
            yield entry
        case Symlink(_, target):
            nar.add(parts, SYMLINK, link=target)
            yield entry
        case HardLink(_, target):
            nar.add(parts, HARDLINK, link=target)
            yield entry
        case File(path, size, chunks, mode):
            nar.add(parts, FILE, size=size, mode=mode)
            yield File(path, size, _added(chunks, nar), mode)
            nar.file_end(parts, size)


def _added(chunks: Iterable[bytes], nar: NarHash) -> Iterator[bytes]:
    for chunk in chunks:
        nar.content(chunk)
        yield chunk
