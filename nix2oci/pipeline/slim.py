"""Slimming an image: which rules it has, and what each of them saves."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping

from msgspec import Struct

from nix2oci import text
from nix2oci.config.image_spec import ImageSpec
from nix2oci.host.progress import Progress
from nix2oci.model.closure import Closure
from nix2oci.model.slim_rules import DUPLICATES, RULES, RuleSet
from nix2oci.model.tree import Tree
from nix2oci.nix.fact_cache import FactCache
from nix2oci.nix.slim_facts import against_rules
from nix2oci.nix.store import Store
from nix2oci.nix.store_files import unreadable
from nix2oci.oci.layer.blob import compressed
from nix2oci.oci.layer.compression import Compression
from nix2oci.plan.slim import NOT_SLIM, SlimDecision, check_links, decide

_PIECE = 1 << 20


def decide_slim(
    spec: ImageSpec,
    closure: Closure,
    tree: Tree,
    *,
    store: Store,
    notes: FactCache,
    progress: Progress,
) -> SlimDecision:
    """The rules of an image whose last layer is `tree`.

    Raises `ConfigError` where something in it leads to what is left out, and `StoreError`.
    """
    if not spec.slim:
        return NOT_SLIM
    progress.step("looking for what speaks against leaving something out")
    found = against_rules(closure, store.root, notes, store.fetch)
    slim = decide(spec.slim, found, spec.env, one_layer=spec.max_layers == 1)
    check_links(tree, slim.rules, closure.store_dir)
    for rule, why in slim.against.items():
        outcome = "stays" if rule in slim.kept else "is left out as asked"
        progress.step(f"{rule} {outcome}: {why}")
    names = text.and_more(list(slim.rules.names), None) if slim.rules else "nothing"
    progress.step(f"left out of store paths: {names}")
    return slim


class Saving(Struct, frozen=True):
    """What a rule leaves out of an image; sizes in bytes."""

    rule: str
    files: int
    size: int
    compressed: int
    """Of each file by itself, as layers are compressed: together they compress a little better."""


class SlimSavings(Struct, frozen=True):
    """The rules of an image, and what each rule would save, whether or not it has that."""

    decision: SlimDecision
    savings: tuple[Saving, ...]


def savings(closure: Closure, store: Store, compression: Compression) -> tuple[Saving, ...]:
    """What each rule would save, whether or not an image has it.

    Reads what would be left out, and files of one store path that have one size. Raises
    `StoreError` where something cannot be read.
    """
    everything, files = RuleSet.of(RULES), _Files(store, compression)
    found: dict[str, list[Saving]] = {name: [] for name in RULES}
    for path in closure.infos:
        top = str(path).encode()
        sizes: dict[int, list[bytes]] = defaultdict(list)
        try:
            for file, size in files.below(top):
                if rule := everything.leaves_out(file[len(top) + 1 :]):
                    found[rule].append(files.saving(rule, file))
                elif size:
                    sizes[size].append(file)
            found[DUPLICATES] += (files.saving(DUPLICATES, file) for file in files.again(sizes))
        except OSError as err:
            raise unreadable(err, str(path)) from err
    return tuple(
        Saving(
            *(rule, len(each), sum(one.size for one in each), sum(one.compressed for one in each))
        )
        for rule, each in found.items()
    )


class _Files(Struct, frozen=True):
    """Files of a store, by their logical paths."""

    store: Store
    compression: Compression

    def below(self, top: bytes) -> Iterator[tuple[bytes, int]]:
        """All that is no directory, with its size, which is 0 for a link."""
        waiting = [top]
        while waiting:
            path = waiting.pop()
            status = os.lstat(self._place(path))
            if stat.S_ISDIR(status.st_mode):
                waiting += [path + b"/" + name for name in os.listdir(self._place(path))]
            else:
                yield path, status.st_size if stat.S_ISREG(status.st_mode) else 0

    def again(self, sizes: Mapping[int, list[bytes]]) -> Iterator[bytes]:
        """Of files by size, all but the first of those that are equal."""
        for files in sizes.values():
            seen = set()
            for file in sorted(files) if len(files) > 1 else ():
                digest = hashlib.sha256()
                for piece in self._pieces(file):
                    digest.update(piece)
                key = (os.lstat(self._place(file)).st_mode & 0o100, digest.digest())
                if key in seen:
                    yield file
                seen.add(key)

    def saving(self, rule: str, file: bytes) -> Saving:
        size = packed = 0
        for piece in self._pieces(file):
            size += len(piece)
            packed += len(compressed(piece, self.compression))
        return Saving(rule, 1, size, packed)

    def _pieces(self, file: bytes) -> Iterator[bytes]:
        place = self._place(file)
        if os.path.islink(place):
            return
        self.store.fetch(file)
        with open(place, "rb") as stream:
            while piece := stream.read(_PIECE):
                yield piece

    def _place(self, path: bytes) -> bytes:
        return os.fsencode(self.store.root) + path
