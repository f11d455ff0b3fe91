"""Files with holes are read as they were, whichever form the tar has them in."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from support.tools import require

from nix2oci.oci.layer.untar import Member, TarError, TarReader

FORMS = {
    "GNU": ("--format=gnu",),
    "PAX 0.0": ("--format=posix", "--sparse-version=0.0"),
    "PAX 0.1": ("--format=posix", "--sparse-version=0.1"),
    "PAX 1.0": ("--format=posix", "--sparse-version=1.0"),
}
SIZE = 3 << 20


def made(directory: Path, form: str, pieces: int) -> tuple[bytes, bytes]:
    """A tar of a file with holes and one without, and what the first has in it."""
    require("tar")
    with (directory / "holes").open("wb") as file:
        file.truncate(SIZE)
        for number in range(pieces):
            file.seek((2 * number + 1) * 20_000)
            file.write(f"piece {number};".encode() * 700)
    (directory / "after").write_text("after")
    argv = ["tar", "--create", "--sparse", *FORMS[form], "holes", "after"]
    done = subprocess.run(argv, cwd=directory, stdout=subprocess.PIPE, check=True)
    assert len(done.stdout) < SIZE
    return done.stdout, (directory / "holes").read_bytes()


def read(data: bytes, chunk: int = 1000) -> list[tuple[Member, bytes]]:
    reader = TarReader(data[at : at + chunk] for at in range(0, len(data), chunk))
    return [(member, b"".join(reader.content())) for member in reader]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pieces", [0, 1, 60], ids="{} pieces".format)
def test_a_file_with_holes_is_read_as_it_was(form: str, pieces: int, tmp_path: Path) -> None:
    data, content = made(tmp_path, form, pieces)
    (holes, found), (after, rest) = read(data)
    assert (holes.name, holes.kind, holes.size, holes.sparse) == (b"holes", b"0", SIZE, True)
    assert found == content
    assert (after.name, rest, after.sparse) == (b"after", b"after", False)


@pytest.mark.parametrize("form", FORMS)
def test_who_does_not_read_it_finds_the_next(form: str, tmp_path: Path) -> None:
    data, _ = made(tmp_path, form, 60)
    assert [member.name for member in TarReader([data])] == [b"holes", b"after"]


def pax(content: bytes, **records: str) -> bytes:
    """A tar of one file with these records, `_` for a dot."""
    info = tarfile.TarInfo("x")
    info.size = len(content)
    info.pax_headers = {key.replace("_", "."): value for key, value in records.items()}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize(
    ("size", "map_"),
    [
        pytest.param("9", "0,5,4,5", id="one piece lies over another"),
        pytest.param("4", "0,5", id="it ends before its last piece"),
        pytest.param("9", "0,4", id="less than is stored"),
        pytest.param("9", "0,6", id="more than is stored"),
        pytest.param("9", "0,5,7", id="a piece without its size"),
        pytest.param("9", "0,-5", id="a sign"),
        pytest.param("9", "0,5x", id="no number"),
        pytest.param("9" * 30, "0,5", id="a size that no file has"),
    ],
)
def test_a_map_that_is_none_is_an_error(size: str, map_: str) -> None:
    with pytest.raises(TarError, match="the map of a file with holes is damaged"):
        read(pax(b"12345", GNU_sparse_map=map_, GNU_sparse_size=size))


@pytest.mark.parametrize(
    "begin", [b"x", b"1\n", b"99999999\n", b"1\n2\n"], ids=["none", "one", "many", "half"]
)
def test_a_map_before_the_content_that_does_not_end_is_an_error(begin: bytes) -> None:
    records = {"GNU_sparse_major": "1", "GNU_sparse_minor": "0", "GNU_sparse_realsize": "9"}
    with pytest.raises(TarError):
        read(pax(begin.ljust(512, b"\0"), **records))


def test_a_map_before_the_content_has_an_end() -> None:
    records = {"GNU_sparse_major": "1", "GNU_sparse_minor": "0", "GNU_sparse_realsize": "9"}
    with pytest.raises(TarError, match="the map of a file with holes is too large"):
        read(pax(b"999999\n" + b"1\n" * (1 << 20), **records), 1 << 16)


def test_more_holes_than_anybody_could_wait_for_are_left_out() -> None:
    size = 2**59
    data = pax(b"12345", GNU_sparse_map=f"{size - 5},5", GNU_sparse_size=str(size))
    ((member, content),) = read(data)
    assert (member.size, content) == (size, b"12345")
