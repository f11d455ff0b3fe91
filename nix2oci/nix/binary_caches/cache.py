"""A binary cache that is read without Nix: the graph, its signatures, and NARs.

Nothing of it is believed: each record is that of the path that was asked for, is signed by a key
that is trusted, or names the hash by itself, and the bytes of a NAR count when they have the hash
of the record (`nix.nar`).
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from itertools import count
from threading import Event

from nix2oci.errors import ClosureError, StoreError
from nix2oci.model.closure import Closure, PathInfo, StorePath, format_nar_hash
from nix2oci.nix.ahead import ahead, explored
from nix2oci.nix.binary_caches.cache_files import CacheFiles, NarFile
from nix2oci.nix.binary_caches.decompress import (
    SLOW,
    DecompressionError,
    decompressed,
    kept_as_zstd,
)
from nix2oci.nix.binary_caches.narinfo import MOST_BYTES, NarInfo
from nix2oci.nix.binary_caches.public_keys import PublicKeys
from nix2oci.nix.options import Origin
from nix2oci.nix.store import not_there
from nix2oci.text import and_more, display

_AT_ONCE = 16
"""Records that are asked for; Nix has 25."""
_MOST_PATHS = 100_000
"""Of a closure: a cache may go on for ever."""
_CACHE_INFO = "nix-cache-info"
_SHOWN = 3


class BinaryCache:
    """The cache at an origin; `keys` None where nothing need be signed."""

    def __init__(
        self,
        origin: Origin,
        files: CacheFiles,
        keys: PublicKeys | None,
        graph: Mapping[StorePath, PathInfo] | None = None,
    ) -> None:
        """With `graph` the store paths, and hashes of NARs, are those: the cache has the bytes."""
        self.origin = origin
        self._files = files
        self._keys = keys
        self._graph = graph
        self._records: dict[StorePath, NarInfo] = {}

    def __str__(self) -> str:
        return str(self.origin)

    def closure(self, roots: Sequence[StorePath]) -> Closure:
        """Store paths and all that they refer to, all of them signed or content-addressed.

        Raises `StoreError` when a path is not there, is not what was asked for or is not trusted,
        `ClosureError`, and `NetworkError`.
        """
        self._meet({root.store_dir for root in roots})
        if self._graph is not None:
            return Closure.among(self._graph, roots)
        number = count()

        def references(record: NarInfo) -> Sequence[StorePath]:
            if next(number) == _MOST_PATHS:
                raise ClosureError(f"cannot use {self}: it goes on after {_MOST_PATHS} store paths")
            return record.info.references

        found = explored(roots, self._record, references, _AT_ONCE)
        self._check_signatures(found.values())
        self._records |= found
        return Closure.of((record.info for record in found.values()), roots)

    def nar(self, info: PathInfo, scratch: str, *, again: bool) -> Generator[bytes]:
        """The NAR of a store path, in pieces, the first of which is empty: it was sent for."""
        return ahead(lambda stop: self._pieces(info, scratch, stop, again=again))

    def _meet(self, store_dirs: Iterable[str]) -> None:
        """See to it that there is a cache, and that it is one of the same store directory."""
        said = self._files.read(_CACHE_INFO, MOST_BYTES, f"read {self}", Event())
        if said is None:
            place = self.origin.place or _CACHE_INFO
            raise StoreError(
                f"cannot read {self}: there is no {place}",
                hint="a binary cache has one; is the address right?",
            )
        for line in said.decode("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name == "StoreDir" and (others := set(store_dirs) - {value.strip()}):
                raise StoreError(
                    f"cannot read {others.pop()} from {self}: it has store paths of "
                    f"{display(value.strip().encode())}"
                )

    def _record(self, path: StorePath, stop: Event) -> NarInfo:
        if path in self._records:
            return self._records[path]
        name = f"{path.hash_part}.narinfo"
        data = self._files.read(name, MOST_BYTES, f"read {path} from {self}", stop)
        if data is None:
            raise not_there(path, self)
        return NarInfo.parse(data.decode("utf-8", "replace"), path, str(self))

    def _check_signatures(self, records: Iterable[NarInfo]) -> None:
        keys = self._keys
        if keys is None:
            return
        wrong = sorted(
            record.info.path
            for record in records
            if not record.is_content_addressed and not keys.have_signed(record)
        )
        if wrong:
            named = and_more([str(path) for path in wrong], _SHOWN)
            raise StoreError(
                f"cannot use {self}: no key that is trusted has signed {named}",
                hint="name the key of that store with --trusted-public-keys, "
                "or use --no-check-sigs",
            )

    def _pieces(self, info: PathInfo, scratch: str, stop: Event, *, again: bool) -> Iterator[bytes]:
        kept = os.path.join(scratch, f"{info.path.base}.nar.zst")
        if os.path.exists(kept):
            with open(kept, "rb") as file:
                yield from decompressed(file, "zstd")
            return
        record = self._record(info.path, stop)
        if record.info.nar_hash != info.nar_hash:
            raise StoreError(
                f"cannot use {info.path}: {self} has another one: expected "
                f"{format_nar_hash(info.nar_hash)}, its record has "
                f"{format_nar_hash(record.info.nar_hash)}"
            )
        purpose = f"read {info.path} from {self}"
        slow = again and record.compression in SLOW
        nar = NarFile.of(record, again=again and not slow)
        with self._files.open(nar, scratch, purpose, stop) as file:
            try:
                pieces = decompressed(file, record.compression)
                yield from kept_as_zstd(pieces, kept) if slow else pieces
            except DecompressionError as err:
                raise StoreError(f"cannot {purpose}: its NAR {err}") from err
            except OSError as err:
                raise StoreError(f"cannot {purpose}: {err.strerror}") from err
