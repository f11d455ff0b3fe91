"""Hash parts are found wherever they are, and however the bytes come."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.model.hash_parts import HashParts, hash_parts

A = b"0123456789abcdfghijklmnpqrsvwxyz"
B = A[::-1]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(A[1:], [], id="one digit too few"),
        pytest.param(A, [A], id="nothing else"),
        pytest.param(b"/nix/store/" + A + b"-name", [A], id="a store path"),
        pytest.param(b"\0" + A + b"\0" + B + b"\xff", [A, B], id="two in binary data"),
        pytest.param(A[:31] + b"e" + A[1:], [], id="a letter that is no digit"),
        pytest.param(A.upper(), [], id="capitals"),
        pytest.param(b"2f" + A + b"-name", [b"2f" + A[:30], A], id="digits in front"),
        pytest.param(b"/" + A + b"0", [A, A[1:] + b"0"], id="digits behind"),
        pytest.param(A + B, [A, B], id="two without a gap"),
        pytest.param("/".join(A.decode()).encode("utf-16-le"), [], id="16-bit characters"),
    ],
)
def test_hash_parts_in_bytes(data: bytes, found: list[bytes]) -> None:
    assert list(hash_parts(data)) == found


TEXT = st.lists(st.sampled_from([A, B, A[:20], b"/", b"-", b"\0", b"e", b"a"]), max_size=12)


@given(TEXT, st.lists(st.integers(0, 200), max_size=8))
def test_no_cut_hides_a_hash_part(words: list[bytes], cuts: list[int]) -> None:
    data = b"".join(words)
    ends = [0, *sorted(cuts), len(data)]
    parts = HashParts()
    for start, end in pairwise(ends):
        parts.feed(memoryview(data)[start:end])
    assert parts.found >= set(hash_parts(data))
    assert all(part in data for part in parts.found)


def test_content_may_come_byte_by_byte() -> None:
    parts = HashParts()
    for byte in b"/nix/store/" + A + b"-x" + bytes(100) + B:
        parts.feed(bytes([byte]))
    assert parts.found == {A, B}
