"""Layers: one diff ID whatever the compression and the machine; all tools read the blobs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import subprocess
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard
from support.tools import require

from nix2oci.model.tree import Directory, Entry, File, Symlink
from nix2oci.oci.layer.blob import Layer, compressor_version, write_layer
from nix2oci.oci.layer.compression import Compression
from nix2oci.oci.layer.tar import BLOCK, tar_blocks
from nix2oci.oci.spec import Digest

ALL = [each for each in Compression if each.chunking is None]
GZIP_HEADER = bytes.fromhex("1f8b08000000000000ff")


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that do not compress, the same at every run."""
    return hashlib.shake_128(b"%d" % seed).digest(size)


def entries(chunk: int = 1 << 18) -> tuple[Entry, ...]:
    """About 3.5 blocks, in parts as a store reader would give them."""
    sizes = (0, 700_000, BLOCK + 5, 2 * BLOCK - 900_000, 3)
    contents = [noise(size // 2, size) + bytes(size - size // 2) for size in sizes]
    files = (
        File(b"d/%d" % i, len(data), [data[at : at + chunk] for at in range(0, len(data), chunk)])
        for i, data in enumerate(contents)
    )
    return (Directory(b"d"), *files, Symlink(b"link", b"d/0"))


def written(
    compression: Compression, what: Iterable[Entry] | None = None, cores: int = 2
) -> tuple[Layer, bytes]:
    out = io.BytesIO()
    with ThreadPoolExecutor(cores) as pool:
        layer = write_layer(entries() if what is None else what, compression, out, pool)
    return layer, out.getvalue()


PLAIN = b"".join(tar_blocks(entries()))


def sha256(data: bytes) -> Digest:
    return Digest.parse("sha256:" + hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("compression", ALL)
def test_a_layer_is_what_its_bytes_are(compression: Compression) -> None:
    layer, data = written(compression)
    assert (layer.digest, layer.size) == (sha256(data), len(data))
    assert (layer.diff_id, layer.tar_size) == (sha256(PLAIN), len(PLAIN))
    assert layer.media_type == compression.media_type
    assert (data == PLAIN) is (compression is Compression.NONE)


@pytest.mark.parametrize(
    ("compression", "media_type"),
    [
        pytest.param("gzip", "application/vnd.oci.image.layer.v1.tar+gzip", id="gzip"),
        pytest.param("zstd", "application/vnd.oci.image.layer.v1.tar+zstd", id="zstd"),
        pytest.param("none", "application/vnd.oci.image.layer.v1.tar", id="none"),
    ],
)
def test_media_types_are_those_of_the_image_specification(
    compression: str, media_type: str
) -> None:
    assert Compression(compression).media_type == media_type


@pytest.mark.parametrize("compression", ALL)
@pytest.mark.parametrize("cores", [1, 3, 8])
@pytest.mark.parametrize("chunk", [999, 1 << 18, 5 << 20])
def test_cores_and_chunks_decide_nothing(compression: Compression, cores: int, chunk: int) -> None:
    assert written(compression, entries(chunk), cores) == written(compression)


@pytest.mark.parametrize("compression", ALL)
def test_a_layer_without_entries_is_the_end_of_a_tar(compression: Compression) -> None:
    layer, _ = written(compression, ())
    assert (layer.diff_id, layer.tar_size) == (sha256(bytes(1024)), 1024)


def gzip_members(data: bytes) -> list[tuple[bytes, bytes]]:
    """The header and the content of each member; zlib checks CRC and length."""
    found = []
    while data:
        reader = zlib.decompressobj(wbits=31)
        content = reader.decompress(data)
        assert reader.eof
        found.append((data[:10], content))
        data = reader.unused_data
    return found


def test_a_gzip_layer_is_one_plain_member_for_each_block() -> None:
    members = gzip_members(written(Compression.GZIP)[1])
    assert {header for header, _ in members} == {GZIP_HEADER}
    assert [content for _, content in members] == list(tar_blocks(entries()))


def test_a_zstd_layer_is_one_checked_frame_for_each_block() -> None:
    data, found = written(Compression.ZSTD)[1], []
    while data:
        parameters = zstandard.get_frame_parameters(data)
        reader = zstandard.ZstdDecompressor().decompressobj()
        content = reader.decompress(data)
        assert reader.eof
        assert (parameters.content_size, parameters.has_checksum) == (len(content), True)
        found.append(content)
        data = reader.unused_data
    assert found == list(tar_blocks(entries()))


def test_zstandard_reads_all_frames_as_one_stream() -> None:
    stream = io.BytesIO(written(Compression.ZSTD)[1])
    reader = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    assert reader.read() == PLAIN


@pytest.mark.parametrize(
    ("compression", "tool"),
    [
        pytest.param(Compression.GZIP, "gzip", id="gzip"),
        pytest.param(Compression.GZIP, "pigz", id="pigz"),
        pytest.param(Compression.ZSTD, "zstd", id="zstd"),
    ],
)
def test_the_usual_tools_read_a_layer(tmp_path: Path, compression: Compression, tool: str) -> None:
    require(tool)
    path = tmp_path / "layer"
    path.write_bytes(written(compression)[1])
    with path.open("rb") as blob:
        subprocess.run([tool, "--test"], stdin=blob, check=True)
    with path.open("rb") as blob:
        read = subprocess.run(
            [tool, "--decompress", "--stdout"], stdin=blob, stdout=subprocess.PIPE, check=True
        )
    assert read.stdout == PLAIN


@pytest.mark.parametrize("compression", [Compression.GZIP, Compression.ZSTD])
def test_compression_makes_a_layer_smaller(compression: Compression) -> None:
    layer, _ = written(compression)
    assert layer.tar_size is not None
    assert layer.size < layer.tar_size * 0.6


@pytest.mark.parametrize(
    ("compression", "package"),
    [
        pytest.param("gzip", "deflate", id="gzip"),
        pytest.param("zstd", "zstandard", id="zstd"),
        pytest.param("zstd:chunked fine", "zstandard", id="chunked"),
        pytest.param("zstd:chunked small", "zstandard", id="chunked, small"),
    ],
)
def test_the_compressor_is_named_with_its_version(compression: str, package: str) -> None:
    version = importlib.metadata.version(package)
    assert compressor_version(Compression(compression)) == f"{package} {version}"


def test_no_compressor_is_named_where_there_is_none() -> None:
    assert compressor_version(Compression.NONE) == "none"


class Counting:
    """An output that counts the blocks between reader and disk; writes whatever comes."""

    def __init__(self) -> None:
        self.read = self.written = self.most = 0

    def write(self, data: bytes) -> int:
        self.written += 1
        return len(data)

    def progress(self, _: int) -> None:
        self.read += 1
        self.most = max(self.most, self.read - self.written)


@pytest.mark.parametrize("compression", ALL)
def test_few_blocks_are_in_memory_at_a_time(compression: Compression) -> None:
    blocks, out = 64, Counting()
    big = File(b"big", blocks * BLOCK, (bytes(BLOCK) for _ in range(blocks)))
    with ThreadPoolExecutor(4) as pool:
        write_layer([big], compression, out, pool, out.progress)
    assert (out.read, out.written) == (blocks + 1, blocks + 1)
    assert out.most <= 8


def test_progress_is_told_every_byte_of_the_tar() -> None:
    told: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        layer = write_layer(entries(), Compression.GZIP, io.BytesIO(), pool, told.append)
    assert sum(told) == layer.tar_size
