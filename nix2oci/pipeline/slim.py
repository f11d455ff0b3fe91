"""Slimming an image: which rules it has, and what each of them saves."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator

from msgspec import Struct

from nix2oci import text
from nix2oci.config.image_spec import ImageSpec
from nix2oci.host.progress import Progress
from nix2oci.model.slim_rules import DUPLICATES, RULES, RuleSet
from nix2oci.model.tree import Tree
from nix2oci.nix.file_search import entries
from nix2oci.nix.slim_facts import against_rules
from nix2oci.nix.store_files import StoreFiles, unreadable
from nix2oci.oci.layer.blob import compressed
from nix2oci.oci.layer.compression import Compression
from nix2oci.plan.slim import SlimDecision, SlimWish, check_links, decide

_PIECE = 1 << 20


def decide_slim(
    wish: SlimWish, spec: ImageSpec, tree: Tree, files: StoreFiles, progress: Progress
) -> SlimDecision:
    """The rules of an image whose last layer is `tree`, and whose store paths have `files`.

    Raises `ConfigError` where something in it leads to what is left out, and `StoreError`.
    """
    progress.step("looking for what speaks against leaving something out")
    found = against_rules(files)
    slim = decide(wish, found, spec.env, one_layer=spec.max_layers == 1)
    check_links(tree, slim.rules, files.store_dir.decode())
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


def savings(files: StoreFiles, compression: Compression) -> tuple[Saving, ...]:
    """What each rule would save, whether or not an image has it.

    Reads what would be left out, and files of one store path that have one size. Raises
    `StoreError` where something cannot be read.
    """
    found: dict[str, list[Saving]] = {name: [] for name in RULES}
    for info in files.owners.values():
        try:
            for rule, data in _left_out(files, str(info.path).encode()):
                found[rule].append(_saving(rule, data, compression))
        except OSError as err:
            raise unreadable(err, str(info.path)) from err
    return tuple(
        Saving(
            *(rule, len(each), sum(one.size for one in each), sum(one.compressed for one in each))
        )
        for rule, each in found.items()
    )


def _left_out(files: StoreFiles, top: bytes) -> Iterator[tuple[str, Iterator[bytes]]]:
    """A rule and the content, in pieces, of each file of a store path that it would leave out."""
    everything = RuleSet.of(RULES)
    alike: dict[tuple[int, int], list[bytes]] = defaultdict(list)
    for path, mode in entries(files, top):
        is_file = stat.S_ISREG(mode)
        if rule := everything.leaves_out(path[len(top) + 1 :]):
            yield rule, _pieces(files, path) if is_file else iter(())
        elif is_file and (size := os.lstat(files.at(path)).st_size):
            alike[size, mode & 0o100].append(path)
    for paths in alike.values():
        for path in _again(files, paths) if len(paths) > 1 else ():
            yield DUPLICATES, _pieces(files, path)


def _again(files: StoreFiles, paths: Iterable[bytes]) -> Iterator[bytes]:
    """All but the first of those with the same content."""
    seen = set()
    for path in paths:
        digest = hashlib.sha256()
        for piece in _pieces(files, path):
            digest.update(piece)
        if digest.digest() in seen:
            yield path
        seen.add(digest.digest())


def _saving(rule: str, data: Iterable[bytes], compression: Compression) -> Saving:
    size = packed = 0
    for piece in data:
        size += len(piece)
        packed += len(compressed(piece, compression))
    return Saving(rule, 1, size, packed)


def _pieces(files: StoreFiles, path: bytes) -> Iterator[bytes]:
    with open(files.content(path), "rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece
