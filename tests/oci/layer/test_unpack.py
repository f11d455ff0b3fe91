"""Compressed data is read to its very end, however it is cut."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.oci.layer.unpack import UnpackError, compression_of, unpacked


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstd, "none": bytes}
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"


def unpack(data: bytes, compression: str, size: int = 1 << 20) -> bytes:
    chunks = (data[start : start + size] for start in range(0, len(data), size))
    return b"".join(unpacked(chunks, compression))


@given(
    st.sampled_from(sorted(PACK)), st.lists(st.binary(max_size=300), max_size=4), st.integers(1, 99)
)
def test_members_and_frames_are_joined(compression: str, parts: list[bytes], size: int) -> None:
    data = b"".join(map(PACK[compression], parts))
    assert unpack(data, compression, size) == b"".join(parts)


@given(st.sampled_from(["gzip", "zstd"]), st.integers(1, 2000), st.integers(1, 40))
def test_whatever_is_cut_off_is_missed(compression: str, cut: int, size: int) -> None:
    data = PACK[compression](b"some text") + PACK[compression](b"more text")
    whole = len(PACK[compression](b"some text"))
    kept = data[: max(1, len(data) - cut)]
    if len(kept) == whole:
        assert unpack(kept, compression, size) == b"some text"
    else:
        with pytest.raises(UnpackError):
            unpack(kept, compression, size)


@given(st.sampled_from(["gzip", "zstd"]), st.binary(min_size=1, max_size=20), st.integers(1, 40))
def test_whatever_follows_is_noticed(compression: str, more: bytes, size: int) -> None:
    with pytest.raises(UnpackError):
        unpack(PACK[compression](b"text") + more, compression, size)


@pytest.mark.parametrize(
    ("data", "compression", "message"),
    [
        pytest.param(
            gzip.compress(b"text") + b"more",
            "gzip",
            "after gzip member 1 there is other data",
            id="text after a member",
        ),
        pytest.param(
            zstd(b"text") * 2 + b"more",
            "zstd",
            "after zstd frame 2 there is other data",
            id="text after two frames",
        ),
        pytest.param(
            zlib.compress(b"text"),
            "gzip",
            "gzip member 1 is damaged: Error -3 while decompressing data: incorrect header check",
            id="zlib's own form, which is no gzip",
        ),
        pytest.param(
            gzip.compress(b"text") + b"\x1f\x8b\x08\xff" + bytes(20),
            "gzip",
            "gzip member 2 is damaged: Error -3 while decompressing data: unknown header flags set",
            id="a second member that is damaged",
        ),
    ],
)
def test_what_is_wrong_is_told(data: bytes, compression: str, message: str) -> None:
    with pytest.raises(UnpackError) as caught:
        unpack(data, compression)
    assert str(caught.value) == message


def test_frames_to_skip_are_skipped() -> None:
    assert unpack(SKIPPABLE + zstd(b"a") + SKIPPABLE + zstd(b"b"), "zstd") == b"ab"


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_output_of_the_size_of_a_piece_is_whole(size: int) -> None:
    for compression, pack in PACK.items():
        assert unpack(pack(bytes(size)), compression) == bytes(size)


@pytest.mark.parametrize(
    ("compression", "size", "most"), [("gzip", 48 << 20, 8 << 20), ("zstd", 400 << 20, 160 << 20)]
)
def test_memory_is_bounded_whatever_it_expands_to(compression: str, size: int, most: int) -> None:
    packed = PACK[compression](bytes(size))
    tracemalloc.start()
    found = sum(len(piece) for piece in unpacked([packed], compression))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == size
    assert peak < most


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (gzip.compress(b"")[:4], "gzip"),
        (zstd(b"")[:4], "zstd"),
        (SKIPPABLE[:4], "zstd"),
        (b"\x1f\x8b\x00", "none"),
        (b"", "none"),
    ],
)
def test_the_first_bytes_tell(head: bytes, expected: str) -> None:
    assert compression_of(head) == expected
