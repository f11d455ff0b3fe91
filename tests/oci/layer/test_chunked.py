"""Chunked layers: plain zstd for who knows no more, and a table of which every word is true."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
from base64 import b64decode
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from support.tools import require

from nix2oci.model.tree import Directory, Entry, File, HardLink, Symlink, Whiteout
from nix2oci.oci.layer.blob import Layer, write_layer
from nix2oci.oci.layer.chunked import write_chunked_layer
from nix2oci.oci.layer.compression import CHECKSUM, POSITION, TAR_SPLIT, Chunking, Compression
from nix2oci.oci.layer.tar import tar_blocks
from nix2oci.oci.spec import LAYER_ZSTD


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that do not compress, the same at every run."""
    return hashlib.shake_128(b"%d" % seed).digest(size)


ZLIB = b"/nix/store/8q2d7rmwh0jx6ypk1z9vcbsgn4fa5il3-zlib-1.3"
LARGE = noise(400_000) + ZLIB + bytes(300_000) + noise(900_000, 2)
LONG = b"d/" + b"long/" * 60


def file(path: bytes, content: bytes, mode: int = 0o444, uid: int = 0) -> File:
    pieces = [content[at : at + (1 << 18)] for at in range(0, len(content), 1 << 18)]
    return File(path, len(content), pieces, mode, uid)


ENTRIES: tuple[Entry, ...] = (
    Directory(b"."),
    Directory(b"d", 0o755, 1000, 1000),
    file(b"d/empty", b""),
    file(b"d/large", LARGE, 0o555, 65532),
    file(b"d/small", b"small"),
    HardLink(b"d/the same", b"d/small"),
    file(LONG + b"name", b"in a PAX header"),
    file('d/größer " \\ \n'.encode(), b"names are text"),
    Symlink(b"link", b"d/small"),
    Whiteout(b"d/.wh.gone"),
)


def written(
    entries: Iterable[Entry], chunking: Chunking = Chunking.FINE, cores: int = 0
) -> tuple[Layer, bytes]:
    out = io.BytesIO()
    if not cores:
        return write_chunked_layer(entries, chunking, out), out.getvalue()
    with ThreadPoolExecutor(cores) as pool:
        return write_chunked_layer(entries, chunking, out, pool), out.getvalue()


def document(layer: Layer, blob: bytes, annotation: str) -> bytes:
    offset, size, plain_size = map(int, layer.annotations[annotation].split(":")[:3])
    plain: bytes = (
        zstandard.ZstdDecompressor().decompressobj().decompress(blob[offset : offset + size])
    )
    assert len(plain) == plain_size
    return plain


def table(layer: Layer, blob: bytes) -> Sequence[dict[str, Any]]:
    entries: Sequence[dict[str, Any]] = json.loads(document(layer, blob, POSITION))["entries"]
    return entries


def plain(blob: bytes) -> bytes:
    """Of frames in a row; those to skip are nothing."""
    with zstandard.ZstdDecompressor().stream_reader(blob, read_across_frames=True) as reader:
        return reader.read()


@pytest.mark.parametrize("chunking", Chunking)
def test_the_layer_is_that_of_any_other_compression(chunking: Chunking) -> None:
    layer, blob = written(ENTRIES, chunking)
    other = write_layer(ENTRIES, Compression.ZSTD, io.BytesIO())
    assert (layer.diff_id, layer.tar_size, layer.files) == (
        other.diff_id,
        other.tar_size,
        other.files,
    )
    assert layer.media_type == LAYER_ZSTD
    assert layer.digest.hex == hashlib.sha256(blob).hexdigest()
    assert layer.size == len(blob)
    assert plain(blob) == b"".join(tar_blocks(ENTRIES))


def test_the_program_zstd_reads_it() -> None:
    require("zstd")
    layer, blob = written(ENTRIES)
    done = subprocess.run(["zstd", "-dc"], input=blob, capture_output=True, check=True)
    assert hashlib.sha256(done.stdout).hexdigest() == layer.diff_id.hex


def test_the_number_of_cores_decides_no_byte() -> None:
    many = (*ENTRIES, *(file(b"m/%d" % n, b"%d" % n * (n % 50)) for n in range(5000)))
    first, *others = (written(many, cores=cores) for cores in (0, 1, 2, 8))
    assert [each == first for each in others] == [True] * 3


def test_every_file_is_where_the_table_says() -> None:
    layer, blob = written(ENTRIES)
    rows = table(layer, blob)
    for entry in ENTRIES:
        if not isinstance(entry, File) or not entry.size:
            continue
        content = b"".join(entry.chunks)
        first, *rest = [row for row in rows if row["name"] == entry.path.decode()]
        assert first["digest"] == "sha256:" + hashlib.sha256(content).hexdigest()
        assert plain(blob[first["offset"] : first["endOffset"]]) == content
        ends = [row["offset"] for row in rest] + [first["endOffset"]]
        for row, end in zip([first, *rest], ends, strict=True):
            start = row.get("chunkOffset", 0)
            chunk = content[start : start + row.get("chunkSize", len(content))]
            assert plain(blob[row["offset"] : end]) == chunk
            digest = "sha256:" + hashlib.sha256(chunk).hexdigest()
            assert row.get("chunkDigest", first["digest"]) == digest


def test_the_table_has_every_entry_in_order() -> None:
    layer, blob = written(ENTRIES)
    time = {"modtime": "1970-01-01T00:00:01Z"}
    rows = [row for row in table(layer, blob) if row["type"] != "chunk"]
    assert [row["type"] for row in rows] == [
        *("dir", "dir", "reg", "reg", "reg", "hardlink", "reg", "reg", "symlink", "reg"),
    ]
    assert rows[0] == {"type": "dir", "name": "./", "mode": 0o555, **time}
    assert rows[1] == {
        "type": "dir",
        "name": "d/",
        "mode": 0o755,
        "uid": 1000,
        "gid": 1000,
        **time,
    }
    assert rows[2] == {"type": "reg", "name": "d/empty", "mode": 0o444, **time}
    assert rows[5]["linkName"] == rows[8]["linkName"] == "d/small"
    assert rows[9] == {"type": "reg", "name": "d/.wh.gone", "mode": 0o444, **time}


def test_tar_split_and_contents_are_the_tar() -> None:
    layer, blob = written(ENTRIES)
    contents = {
        each.path.decode(): b"".join(each.chunks) for each in ENTRIES if isinstance(each, File)
    }
    lines = [json.loads(line) for line in document(layer, blob, TAR_SPLIT).splitlines()]
    assert [line["position"] for line in lines] == list(range(len(lines)))
    tar = b"".join(
        b64decode(line["payload"]) if line["type"] == 2 else contents[line["name"]]
        for line in lines
    )
    assert tar == b"".join(tar_blocks(ENTRIES))
    digits = next(line for line in lines if line.get("name") == "d/small")
    assert len(b64decode(digits["payload"])) == 8


def test_the_checksums_are_of_what_is_compressed() -> None:
    layer, blob = written(ENTRIES)
    for annotation, checksum in (
        (POSITION, layer.annotations[CHECKSUM]),
        (TAR_SPLIT, json.loads(document(layer, blob, POSITION))["tarSplitDigest"]),
    ):
        offset, size = map(int, layer.annotations[annotation].split(":")[:2])
        packed = blob[offset : offset + size]
        assert checksum == "sha256:" + hashlib.sha256(packed).hexdigest()
    places = b"".join(
        int(number).to_bytes(8, "little")
        for annotation in (POSITION, TAR_SPLIT)
        for number in layer.annotations[annotation].split(":")
    )
    assert blob.endswith(places + b"GNUlInUx")


def test_a_name_that_is_no_text_leaves_plain_zstd() -> None:
    for odd in (file(b"\xff", b"x"), Symlink(b"link", b"\xff"), Directory(b"\xff")):
        layer, blob = written((*ENTRIES, odd))
        assert layer.annotations == {}
        assert plain(blob) == b"".join(tar_blocks((*ENTRIES, odd)))


def test_the_small_setting_has_the_same_chunks_in_fewer_bytes() -> None:
    text = b"".join(b"%d times %d is %d\n" % (n, n, n * n) for n in range(40_000))
    layers = [written((file(b"text", text + LARGE),), chunking) for chunking in Chunking]
    fine, small = (
        [{k: v for k, v in row.items() if "ffset" not in k} for row in table(*each)]
        for each in layers
    )
    assert fine == small
    assert layers[1][0].size < layers[0][0].size


@given(
    st.lists(st.tuples(st.binary(max_size=3000), st.integers(0, 9)), max_size=9),
    st.sampled_from(Chunking),
)
def test_any_files_come_out_as_they_went_in(
    contents: list[tuple[bytes, int]], chunking: Chunking
) -> None:
    entries = [file(b"%d" % n, data * times) for n, (data, times) in enumerate(contents)]
    layer, blob = written(entries, chunking)
    assert plain(blob) == b"".join(tar_blocks(entries))
    for row, entry in zip(
        (row for row in table(layer, blob) if row["type"] == "reg"), entries, strict=True
    ):
        if entry.size:
            assert plain(blob[row["offset"] : row["endOffset"]]) == b"".join(entry.chunks)
