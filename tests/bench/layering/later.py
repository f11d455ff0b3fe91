"""A later state of a fleet, for plans that follow one another.

What changes is decided by hashes of names: the same everywhere and always. As in a Nix store, all
that refers to what changed has another hash, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from nix2oci.model.closure import Closure, PathInfo, StorePath

_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"
_RESIZED, _ADOPTING = 0.5, 0.1  # shares of what is bumped


def later(fleet: Sequence[Closure], bumped: float, salt: str = "") -> tuple[Closure, ...]:
    """The fleet where that share of its packages, between 0 and 1, has a new version.

    Half of these have another size, by five per cent at most, and a tenth of them refers to one
    path more: one that stands on what they have already. Another `salt` gives another state.
    """
    infos = {path: info for closure in fleet for path, info in closure.infos.items()}
    whole = Closure.of(infos.values(), sorted(infos))
    bit = {path: 1 << n for n, path in enumerate(whole)}
    reach = whole.reach(bit)
    new: dict[StorePath, PathInfo] = {}
    for path in _references_first(whole, reach):
        info, old = infos[path], whole.references(path)
        is_bumped = _chance(f"bump{salt}", path) < bumped
        adopted = is_bumped and _chance("adopt", path) < _ADOPTING
        more = _adopted(path, reach, bit) if adopted else ()
        references = tuple(sorted(new[other].path for other in (*old, *more)))
        if is_bumped or references != old:
            info = _changed(info, references, is_bumped=is_bumped)
        new[path] = info
    by_new = {info.path: info for info in new.values()}
    return tuple(_closure([new[root].path for root in each.roots], by_new) for each in fleet)


def _references_first(closure: Closure, reach: Mapping[StorePath, int]) -> list[StorePath]:
    """Every path behind all that it refers to, those that it adopts included: they reach less."""
    return sorted(closure, key=lambda path: (reach[path].bit_count(), path))


def _adopted(
    path: StorePath, reach: Mapping[StorePath, int], bit: Mapping[StorePath, int]
) -> Sequence[StorePath]:
    """One path, or none, that refers to nothing that `path` does not."""
    fit = [
        other
        for other, below in reach.items()
        if not reach[path] & bit[other]
        and below & ~reach[path] == bit[other]
        and below.bit_count() < reach[path].bit_count()
    ]
    return [min(fit, key=lambda other: _chance(path.name, other))] if fit else []


def _changed(info: PathInfo, references: tuple[StorePath, ...], *, is_bumped: bool) -> PathInfo:
    name, size = info.path.name, info.nar_size
    if is_bumped:
        name += ".1"
        if _chance("resize", info.path) < _RESIZED:
            size = round(size * (0.95 + 0.1 * _chance("size", info.path)))
    parts = [info.path.hash_part, name, *(reference.hash_part for reference in references)]
    digest = hashlib.sha256("\n".join(parts).encode()).digest()
    number = int.from_bytes(digest[:20], "big")
    hash_part = "".join(_ALPHABET[number >> 5 * i & 31] for i in range(32))
    return PathInfo(replace(info.path, hash_part=hash_part, name=name), digest, size, references)


def _chance(what: str, path: StorePath) -> float:
    """A number from 0 to 1 that any two paths have independently, by their names."""
    digest = hashlib.sha256(f"{what} {path.name}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def _closure(roots: Sequence[StorePath], infos: Mapping[StorePath, PathInfo]) -> Closure:
    found: dict[StorePath, PathInfo] = {}
    queue = list(roots)
    while queue:
        path = queue.pop()
        if path not in found:
            found[path] = infos[path]
            queue += infos[path].references
    return Closure.of(found.values(), roots)
