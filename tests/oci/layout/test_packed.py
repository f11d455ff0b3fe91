"""An archive that somebody has compressed is the image that it was before."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from support.terminal import Terminal
from support.writes import write

from nix2oci.errors import LayoutError, OutputError
from nix2oci.oci.layout import packed
from nix2oci.oci.layout.source import open_image

ZSTD = zstandard.ZstdCompressor().compress
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0note"
PACKED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("two gzip members", lambda data: gzip.compress(data[:999]) + gzip.compress(data[999:])),
    ("zstd", ZSTD),
    ("zstd by pzstd", lambda data: SKIPPABLE + ZSTD(data)),
    ("xz", lzma.compress),
    ("bzip2", bz2.compress),
]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal.make(tmp_path)


def made(terminal: Terminal) -> bytes:
    """An archive of the fake package's image."""
    assert terminal.run("build", ".#app", "-o", "app.tar", "--tag", "app:1").returncode == 0
    return (terminal.directory / "app.tar").read_bytes()


@pytest.mark.parametrize("pack", [pytest.param(each, id=name) for name, each in PACKED])
def test_every_command_reads_it(pack: Callable[[bytes], bytes], terminal: Terminal) -> None:
    (terminal.directory / "app.packed").write_bytes(pack(made(terminal)))
    (scratch := terminal.directory / "tmp").mkdir()
    env = {"TMPDIR": str(scratch)}
    plain = terminal.run("inspect", "-q", "app.tar:1")
    for name in ("app.packed", "oci-archive:app.packed:1", "docker-archive:app.packed"):
        done = terminal.run("inspect", "-q", name, **env)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[1:] == plain.stdout.splitlines()[1:]
    assert terminal.run("validate", "app.packed", **env).returncode == 0
    assert terminal.run("diff", "--exit-code", "app.tar", "app.packed", **env).returncode == 0
    assert os.listdir(scratch) == []


def test_it_is_a_base(terminal: Terminal) -> None:
    plain = made(terminal)
    for name, data in (("base.tar", plain), ("base.tar.gz", gzip.compress(plain))):
        (terminal.directory / name).write_bytes(data)
    digests = {
        terminal.run(
            *("build", ".#app", "--base", f"docker-archive:{name}", "-o", out, "--json"),
            *("--no-cache", "--shell", "keep"),
        ).stdout.partition('"digest":')[2][:80]
        for name, out in (("base.tar", "one.tar"), ("base.tar.gz", "two.tar"))
    }
    assert len(digests) == 1, digests
    assert digests != {""}


def test_a_part_of_it_is_read_while_another_is(tmp_path: Path) -> None:
    image = write(tmp_path / "app.tar", "archive", "app:1", "text")
    (tmp_path / "app.tar.gz").write_bytes(gzip.compress((tmp_path / "app.tar").read_bytes()))
    source = open_image(str(tmp_path / "app.tar.gz"))
    config, manifest = source.config_descriptor().digest, source.descriptor.digest
    with source.blobs.open(manifest) as one, source.blobs.open(config) as other:
        begin = one.read(5)
        assert other.read() == source.read(config)
        assert begin + one.read() == image.manifest


def write_zeros(path: Path, size: int) -> None:
    with gzip.open(path, "wb") as out:
        for _ in range(size >> 20):
            out.write(bytes(1 << 20))


def test_a_bomb_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_FLOOR", 8 << 20)
    write_zeros(tmp_path / "bomb", 16 << 20)
    with pytest.raises(LayoutError, match="it unpacks to more than 100 times its size") as raised:
        open_image(str(tmp_path / "bomb"))
    assert raised.value.hint == "if that is right, decompress it first"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(gzip.compress(b"x" * 999)[:-9], "gzip member 1 ends too early", id="cut"),
        pytest.param(
            lzma.compress(b"x" * 999)[:-9], "xz stream 1 ends too early", id="xz that is cut"
        ),
        pytest.param(
            bz2.compress(b"x") + b"more",
            "after bzip2 stream 1 there is other data",
            id="with more behind it",
        ),
        pytest.param(
            gzip.compress(b"x" * 999),
            "it is not a tar archive, it is ASCII text",
            id="no archive",
        ),
    ],
)
def test_what_is_wrong_is_said(data: bytes, message: str, tmp_path: Path) -> None:
    (path := tmp_path / "packed").write_bytes(data)
    with pytest.raises(LayoutError) as raised:
        open_image(str(path))
    assert message in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_full_disk_is_said_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "packed"
    path.write_bytes(gzip.compress(b"x"))
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: open("/dev/full", "wb"))  # noqa: SIM115
    with pytest.raises(OutputError) as raised:
        open_image(str(path))
    assert str(raised.value).endswith("cannot unpack it: No space left on device")
    assert raised.value.hint == "TMPDIR names the directory where it is unpacked"
