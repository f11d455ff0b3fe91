"""Bytes that a client moves, on a library of which 5 % change and all behind is shifted."""

from __future__ import annotations

import random  # noqa: TID251  # content for tests, the same each time
from collections.abc import Iterable

from bench.layering.moved_bytes import SCHEMES, layer_parts, moved_bytes

from nix2oci.model.tree import Directory, Entry, File

_OLD, _NEW = b"8q2d7rmwh0jx6ypk1z9vcbsgn4fa5il3", b"z9vcbsgn4fa5il38q2d7rmwh0jx6ypk1"


def test_where_all_behind_an_edit_is_shifted_ours_are_the_fewest() -> None:
    old = _words(4_000_000)
    new = old[:1_000_000] + _words(200_077, seed=2) + old[1_200_000:]
    moved = moved_bytes([layer_parts(_library(old))], [layer_parts(_library(new))])
    assert min(SCHEMES, key=lambda scheme: moved[scheme]) == "ours", moved
    assert moved["ours"] < 0.25 * moved["layers"]
    assert moved["fixed chunks"] > 0.7 * moved["layers"]
    assert moved["files"] > 0.95 * moved["layers"]


def test_where_only_hashes_changed_hardly_more_than_the_table_moves() -> None:
    content = _words(1_000_000) + b"/nix/store/" + _OLD + b"-zlib-1.3/lib" + _words(900_000)
    old = [layer_parts(_library(content))]
    new = [layer_parts(_library(content.replace(_OLD, _NEW)))]
    table = new[0].tables["ours"]
    assert moved_bytes(old, new)["ours"] < table + 100 < 2000


def test_a_layer_that_is_there_moves_nothing() -> None:
    layer = layer_parts(_library(_words(10_000)))
    assert set(moved_bytes([layer], [layer]).values()) == {0}


def _library(content: bytes) -> Iterable[Entry]:
    yield Directory(b"nix")
    yield File(b"nix/libexample.so", len(content), (content,))


def _words(size: int, seed: int = 1) -> bytes:
    """What compresses, and repeats nothing over a long way."""
    chance = random.Random(seed)
    words = [chance.randbytes(chance.randrange(2, 9)) for _ in range(5000)]
    return b"".join(chance.choices(words, k=size // 4))[:size]
