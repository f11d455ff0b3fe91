"""Where files are cut: at store references, and where content says so."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.oci.layer.chunk_borders import SIZES, Sizes, chunks

SMALL = Sizes(whole=300, gap=100, least=200, most=900)
ZLIB = b"/nix/store/8q2d7rmwh0jx6ypk1z9vcbsgn4fa5il3-zlib-1.3"
OTHER = b"/nix/store/z9vcbsgn4fa5il38q2d7rmwh0jx6ypk1-zlib-1.3.1"


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that do not compress, the same at every run."""
    return hashlib.shake_128(b"%d" % seed).digest(size)


def cut(content: bytes, sizes: Sizes = SIZES, piece: int = 1 << 18) -> list[bytes]:
    pieces = (content[start : start + piece] for start in range(0, len(content), piece))
    return [bytes(chunk) for chunk in chunks(pieces, len(content), sizes)]


CONTENTS = st.lists(
    st.one_of(
        st.binary(max_size=400),
        st.sampled_from((ZLIB, OTHER, b"\n", bytes(5000), b"a" * 3000, ZLIB * 40)),
        st.integers(1, 99).map(lambda seed: noise(seed * 100, seed)),
    ),
    max_size=12,
).map(b"".join)


@given(CONTENTS, st.integers(1, 20_000))
def test_chunks_are_the_content_however_it_comes(content: bytes, piece: int) -> None:
    made = cut(content, SMALL, piece)
    assert b"".join(made) == content
    assert all(0 < len(chunk) <= SMALL.most for chunk in made)
    assert made == cut(content, SMALL, len(content) + 1)


def test_a_short_file_is_one_chunk_and_an_empty_one_none() -> None:
    assert cut(b"") == []
    assert cut(ZLIB * 50) == [ZLIB * 50]


def test_a_changed_reference_spoils_its_own_chunk_alone() -> None:
    before, after = noise(500_000), noise(300_000, 2)
    old, new = cut(before + ZLIB + b"/lib" + after), cut(before + OTHER + b"/lib" + after)
    assert set(new) - set(old) == {OTHER[4:]}


def test_references_that_are_near_each_other_are_one_chunk() -> None:
    near = (ZLIB + noise(500)) * 20
    made = cut(noise(200_000, 2) + near + noise(200_000, 3))
    (both,) = [chunk for chunk in made if b"/store/" in chunk]
    assert both.count(b"/store/") == 20


@pytest.mark.parametrize("size", [200, 255, 256, 257, 70_000])
def test_a_border_is_where_the_longest_line_starts(size: int) -> None:
    before, after = (
        b"".join(b"%0199d\n" % (n * n) for n in range(start, start + 1000)) for start in (1, 5000)
    )
    made = cut(before + b"x" * size + b"\n" + after * 3)
    assert made[0] == before


def test_of_longest_lines_that_are_alike_the_first_is_the_border() -> None:
    before = b"".join(b"%0199d\n" % n for n in range(1000))
    assert cut(before + (b"x" * 300 + b"\n" + before) * 3)[0] == before


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(noise(6_000_000), id="what does not compress"),
        pytest.param(b"".join(b"%x\n" % n * (n % 7) for n in range(400_000)), id="lines"),
        pytest.param(b",".join(b"%d" % (n * n) for n in range(600_000)), id="one line of numbers"),
        pytest.param(noise(3_000_000, 2).hex().encode(), id="one line of hex"),
    ],
)
def test_borders_behind_an_insertion_come_back(content: bytes) -> None:
    at = len(content) // 3
    old, new = cut(content), cut(content[:at] + noise(77, 5) + content[at:])
    moved = sum(len(chunk) for chunk in set(new) - set(old))
    assert moved < 3 * SIZES.most < len(content) / 3


def test_what_repeats_without_end_is_cut_all_the_same() -> None:
    for content in (bytes(2_000_000), b"0" * 2_000_000, b"\n" * 2_000_000, b"ab" * 1_000_000):
        assert max(map(len, cut(content))) <= SIZES.most
