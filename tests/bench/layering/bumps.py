"""What a client moves where store paths change, by planner and by the parts that it takes.

The parts of each store path are found once, in the state before and in the one behind a change, and
put together as a planner has layers of them: a layer is as large as its paths are one by one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from bench.layering.metrics import COMMON, Image
from bench.layering.moved_bytes import CUTS, LayerParts, layer_parts, moved_bytes
from bench.layering.published import Planner

from nix2oci.model.closure import Closure, StorePath
from nix2oci.model.tree import Directory, Entry, File, Symlink
from nix2oci.plan.layers.popularity import package_of

Parts = Mapping[StorePath, LayerParts]
Read = Callable[[StorePath], Iterable[Entry]]
"""The entries of a store path, below `nix/store`."""

APP, LIBRARY, EVERYTHING = "an edit of the application", "a new OpenSSL", "a rebuild of everything"
_HASH_PARTS = re.compile(rb"[0-9a-df-np-sv-z]{32}")
_ALPHABET = b"0123456789abcdfghijklmnpqrsvwxyz"
_NEW = 0.05


def changes(closure: Closure) -> Mapping[str, tuple[StorePath, ...]]:
    """Which paths are other ones; in a rebuild of everything only their hashes are."""
    library = tuple(path for path in closure if package_of(path.name) in COMMON)
    return {APP: closure.roots, LIBRARY: library, EVERYTHING: ()}


def moved(
    closure: Closure, read: Read, planners: Mapping[str, Planner], budget: int
) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
    """Bytes by change, planner and scheme."""
    before = {path: layer_parts(read(path)) for path in closure}
    plans = {name: plan(closure, budget) for name, plan in planners.items()}
    image = Image.of(closure)
    found = {}
    for change, edited in changes(closure).items():
        new = image.changed_by(edited or closure)
        other = [path for path in closure if new & image.bit[path]]
        after = {**before, **dict(_later(read, other, edited))}
        found[change] = {
            name: moved_bytes([_layer(p, before) for p in plan], [_layer(p, after) for p in plan])
            for name, plan in plans.items()
        }
    return found


def _later(
    read: Read, changed: Sequence[StorePath], edited: Iterable[StorePath]
) -> Iterator[tuple[StorePath, LayerParts]]:
    """The parts of paths whose hashes are new; of what is edited the largest file is, too."""
    new = {path.hash_part.encode(): _other_hash(path) for path in changed}
    for path in changed:
        entries = [_rewritten(new, entry) for entry in read(path)]
        if path in edited:
            sizes = [entry.size if isinstance(entry, File) else -1 for entry in entries]
            place = sizes.index(max(sizes))
            entries[place] = _edited(entries[place])
        yield path, layer_parts(entries)


def _rewritten(new: Mapping[bytes, bytes], entry: Entry) -> Entry:
    def hashes(data: bytes) -> bytes:
        return _HASH_PARTS.sub(lambda found: new.get(found[0], found[0]), data)

    if isinstance(entry, File):
        content = hashes(b"".join(entry.chunks))
        return File(hashes(entry.path), len(content), (content,), entry.mode)
    if isinstance(entry, Symlink):
        return Symlink(hashes(entry.path), hashes(entry.target))
    return Directory(hashes(entry.path))


def _edited(entry: Entry) -> Entry:
    """A twentieth of a file in its middle is another one, and all behind it is shifted."""
    if not isinstance(entry, File):
        return entry
    content = b"".join(entry.chunks)
    size = int(len(content) * _NEW)
    start = (len(content) - size) // 2
    new = content[start : start + size][::-1] + b"new in this version" * 4
    content = content[:start] + new + content[start + size :]
    return File(entry.path, len(content), (content,), entry.mode)


def _other_hash(path: StorePath) -> bytes:
    digest = hashlib.sha256(path.hash_part.encode()).digest()
    return bytes(_ALPHABET[byte & 31] for byte in digest)


def _layer(paths: Iterable[StorePath], parts: Parts) -> LayerParts:
    members = [parts[path] for path in sorted(paths)]
    return LayerParts(
        hashlib.sha256(b"".join(each.digest for each in members)).digest(),
        sum(each.size for each in members),
        {scheme: sum(each.tables[scheme] for each in members) for scheme in CUTS},
        {scheme: [file for each in members for file in each.files[scheme]] for scheme in CUTS},
    )
