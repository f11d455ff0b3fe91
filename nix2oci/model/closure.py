"""What Nix knows about a closure, as a pure graph: store paths and how they refer to each other.

The hard part is trust: the text comes from another program, so a store path is parsed
by Nix's own grammar before anything is done with it, and a closure is checked to be one.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import ClosureError

# Nix's own alphabet (no e, o, t, u) and name rule: src/libstore/path.cc.
STORE_DIR = "/nix/store"
"""The logical store directory, unless a store says another."""

_HASH_PART = re.compile(r"[0-9a-df-np-sv-z]{32}")
_NAME = re.compile(r"[0-9A-Za-z+\-._?=]{1,211}")
_BASE32 = "0123456789abcdfghijklmnpqrsvwxyz"


class StorePath(Struct, frozen=True):
    """A store path such as `/nix/store/<hash part>-<name>`: logical, wherever its bytes lie.

    Ordered by name, then hash part, then store directory, so that a new hash of an
    unchanged name keeps its place.
    """

    store_dir: str
    hash_part: str
    name: str

    @classmethod
    def parse(cls, text: str) -> StorePath:
        """Read an absolute store path; raise `ClosureError` for anything else."""
        store_dir, _, base = text.rpartition("/")
        hash_part, dash, name = base.partition("-")
        if not (
            store_dir.startswith("/")
            and dash
            and _HASH_PART.fullmatch(hash_part)
            and _NAME.fullmatch(name)
            and not {".", "..", ""}.intersection(store_dir[1:].split("/"))
            and name not in {".", ".."}
            and store_dir.isprintable()
        ):
            raise ClosureError(f"cannot read store path {text[:300]!r}: it is not one")
        return cls(store_dir, hash_part, name)

    @property
    def base(self) -> str:
        """`<hash part>-<name>`: the last component."""
        return f"{self.hash_part}-{self.name}"

    def __str__(self) -> str:
        return f"{self.store_dir}/{self.hash_part}-{self.name}"

    def __lt__(self, other: StorePath) -> bool:
        return self._key() < other._key()

    def _key(self) -> tuple[str, str, str]:
        return self.name, self.hash_part, self.store_dir


def store_path_of(path: str, store_dir: str) -> StorePath | None:
    """The store path that an absolute path lies in, or None where it lies in no store."""
    prefix = store_dir + "/"
    if not path.startswith(prefix):
        return None
    try:
        return StorePath.parse(prefix + path[len(prefix) :].partition("/")[0])
    except ClosureError:
        return None


def parse_nar_hash(text: str) -> bytes:
    """The 32 bytes of a SHA-256 NAR hash, from `sha256-<base64>`, `sha256:<base32>` or hex.

    Raises `ValueError` for any other algorithm or encoding.
    """
    match = re.fullmatch(r"sha256[:-](.+)", text)
    value = match[1] if match else ""
    try:
        if re.fullmatch(r"[0-9a-fA-F]{64}", value):
            return bytes.fromhex(value)
        if len(value) == 52:
            return _from_base32(value)
        digest = binascii.a2b_base64(value, strict_mode=True)
    except (binascii.Error, ValueError) as err:
        raise ValueError(f"not a SHA-256 hash: {text!r}") from err
    if len(digest) != 32:
        raise ValueError(f"not a SHA-256 hash: {text!r}")
    return digest


def format_nar_hash(digest: bytes) -> str:
    """The SRI form that Nix prints: `sha256-<base64>`."""
    return "sha256-" + binascii.b2a_base64(digest, newline=False).decode("ascii")


def to_base32(data: bytes) -> str:
    """Bytes in Nix's base 32, as hashes are in store paths and signatures."""
    number = int.from_bytes(data, "little")
    count = (len(data) * 8 + 4) // 5
    return "".join(_BASE32[number >> 5 * place & 31] for place in reversed(range(count)))


def _from_base32(text: str) -> bytes:
    """Nix's base 32: its own alphabet, least significant digit last (src/libutil/hash.cc)."""
    number = 0
    for character in text:
        number = number * 32 + _BASE32.index(character)
    if number >= 1 << 256:
        raise ValueError(f"not a SHA-256 hash: {text!r}")
    return number.to_bytes(32, "little")


class PathInfo(Struct, frozen=True):
    """What Nix records about one valid path.

    `nar_hash` is 32 bytes of SHA-256, `nar_size` counts bytes of the NAR serialisation,
    `references` is sorted and may hold the path itself, as Nix has it. `deriver` is the derivation
    that it came from, a store path that need not be there; empty where Nix knows none.
    """

    path: StorePath
    nar_hash: bytes
    nar_size: int
    references: tuple[StorePath, ...]
    deriver: str = ""


class Closure(Struct, frozen=True):
    """Roots and all that they refer to, transitively; closed and free of cycles.

    Iterates over its store paths in their order. Make one with `Closure.of`.
    """

    roots: tuple[StorePath, ...]
    infos: Mapping[StorePath, PathInfo]
    _order: tuple[StorePath, ...]

    @classmethod
    def of(cls, infos: Iterable[PathInfo], roots: Iterable[StorePath]) -> Closure:
        """Check and keep a closure; `roots` keep their order, doubles are dropped.

        Raises `ClosureError` when a root or a reference is missing, when a path that no
        root leads to is there, or when two paths refer to each other.
        """
        by_path = {info.path: info for info in infos}
        kept_roots = tuple(dict.fromkeys(roots))
        if not kept_roots and not by_path:
            raise ClosureError("cannot use closure: there is no path in it")
        for root in kept_roots:
            if root not in by_path:
                raise ClosureError(f"cannot use closure: it lacks its root {root}")
        for info in by_path.values():
            for reference in info.references:
                if reference not in by_path:
                    raise ClosureError(
                        f"cannot use closure: {info.path} refers to {reference}, which is not in it"
                    )
        order = _referrers_last(by_path)
        reached = reachable(kept_roots, lambda path: by_path[path].references)
        for path in sorted(by_path):
            if path not in reached:
                raise ClosureError(f"cannot use closure: no root refers to {path}")
        return cls(kept_roots, {path: by_path[path] for path in sorted(by_path)}, order)

    @classmethod
    def among(cls, known: Mapping[StorePath, PathInfo], roots: Sequence[StorePath]) -> Closure:
        """The closure of roots whose paths are among those that are known; raises as `of`."""
        paths = reachable(roots, lambda path: known[path].references if path in known else ())
        return cls.of((known[path] for path in paths if path in known), roots)

    @classmethod
    def of_all(cls, infos: Iterable[PathInfo]) -> Closure:
        """A closure whose roots are the paths that no other refers to; else as `of`."""
        known = tuple(infos)
        referred = {other for i in known for other in i.references if other != i.path}
        return cls.of(known, sorted({info.path for info in known} - referred))

    def __iter__(self) -> Iterator[StorePath]:
        return iter(self.infos)

    def __len__(self) -> int:
        return len(self.infos)

    def __contains__(self, path: object) -> bool:
        return path in self.infos

    @property
    def store_dir(self) -> str:
        """The directory that all store paths lie in, such as `/nix/store`."""
        return self.roots[0].store_dir

    @property
    def nar_size(self) -> int:
        """Bytes of all NARs together: the closure size that `nix path-info -S` prints."""
        return sum(info.nar_size for info in self.infos.values())

    def without(self, paths: Collection[StorePath]) -> Closure:
        """What is left when somebody else has some of the paths, but not all.

        What only those led to becomes a root, behind the roots that are left.
        """
        left = [
            replace(info, references=tuple(r for r in info.references if r not in paths))
            for info in self.infos.values()
            if info.path not in paths
        ]
        referred = {other for i in left for other in i.references if other != i.path}
        tops = [path for path in self if path not in paths and path not in referred]
        return Closure.of(left, [*(root for root in self.roots if root not in paths), *tops])

    def references(self, path: StorePath) -> tuple[StorePath, ...]:
        """What a path refers to, itself left out."""
        return tuple(other for other in self.infos[path].references if other != path)

    def references_first(self) -> tuple[StorePath, ...]:
        """Every path, after all that it refers to."""
        return self._order

    def reach(self, bit: Mapping[StorePath, int]) -> dict[StorePath, int]:
        """What each path refers to, transitively, itself included: the sum of the bits given."""
        sets: dict[StorePath, int] = {}
        for path in self._order:
            sets[path] = bit[path]
            for reference in self.references(path):
                sets[path] |= sets[reference]
        return sets

    def users(self, bit: Mapping[StorePath, int]) -> dict[StorePath, int]:
        """What refers to each path, transitively, itself included: the sum of the bits given."""
        sets = {path: bit[path] for path in self._order}
        for path in reversed(self._order):
            for reference in self.references(path):
                sets[reference] |= sets[path]
        return sets


def _referrers_last(infos: Mapping[StorePath, PathInfo]) -> tuple[StorePath, ...]:
    graph = {
        path: [other for other in infos[path].references if other != path] for path in sorted(infos)
    }
    try:
        return tuple(TopologicalSorter(graph).static_order())
    except CycleError as err:
        cycle = " refers to ".join(str(path) for path in reversed(err.args[1]))
        raise ClosureError(f"cannot use closure: {cycle}") from err


def reachable(
    starts: Iterable[StorePath], references: Callable[[StorePath], Iterable[StorePath]]
) -> set[StorePath]:
    """The starts, and all that they refer to, directly or not."""
    seen: set[StorePath] = set()
    queue = list(starts)
    while queue:
        path = queue.pop()
        if path not in seen:
            seen.add(path)
            queue += references(path)
    return seen
