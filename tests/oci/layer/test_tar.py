"""Tar: Python's tarfile and GNU tar read back what was written; equal entries are equal bytes."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.tools import require
from support.treedump import treedump

from nix2oci.errors import RepresentationError
from nix2oci.model.tree import (
    ROOT,
    Directory,
    Entry,
    File,
    HardLink,
    Owned,
    Symlink,
    Tree,
    Whiteout,
    parents,
)
from nix2oci.oci.layer import untar
from nix2oci.oci.layer.tar import BLOCK, END, member_header, tar_blocks

KINDS = {tarfile.REGTYPE: "file", tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "link"}


@dataclass(frozen=True)
class Member:
    """What a tar says of one entry."""

    kind: str
    name: bytes
    mode: int
    uid: int = 0
    gid: int = 0
    link: bytes = b""
    content: bytes = b""


def tar(*entries: Entry) -> bytes:
    return b"".join(tar_blocks(entries))


def members(data: bytes) -> list[Member]:
    """The members as Python reads them; each checked for what is the same in all."""
    with tarfile.open(
        fileobj=io.BytesIO(data), mode="r:", encoding="utf-8", errors="surrogateescape"
    ) as file:
        return [_member(file, member) for member in file]


def _member(file: tarfile.TarFile, member: tarfile.TarInfo) -> Member:
    assert (member.mtime, member.uname, member.gname) == (1, "", "")
    assert (member.devmajor, member.devminor) == (0, 0)
    content = file.extractfile(member) if member.isreg() else None
    return Member(
        KINDS[member.type],
        os.fsencode(member.name),
        member.mode,
        member.uid,
        member.gid,
        os.fsencode(member.linkname),
        content.read() if content else b"",
    )


def expected(entry: Entry) -> Member:
    match entry:
        case Directory(path, mode, uid, gid):
            return Member("directory", path, mode, uid, gid)
        case File(path, _, chunks, mode, uid, gid):
            return Member("file", path, mode, uid, gid, content=b"".join(chunks))
        case Symlink(path, target):
            return Member("link", path, 0o777, link=target)
        case HardLink(path, target, mode):
            return Member("hard link", path, mode, link=target)
        case Whiteout(path):
            return Member("file", path, 0o444)


def kinds(data: bytes) -> str:
    """The type flag of every header in the raw bytes: `x5` is a directory with a PAX header."""
    found, at = "", 0
    while data[at : at + 512] != bytes(512):
        header = data[at : at + 512]
        found += header[156:157].decode()
        size = int(header[124:135], 8)
        at += 512 + size + -size % 512
    assert data[at:] == END
    return found


def gnu_names(data: bytes) -> list[bytes]:
    require("tar")
    listed = subprocess.run(
        ["tar", "--list", "--null", "--quoting-style=literal"],
        input=data,
        stdout=subprocess.PIPE,
        check=True,
    )
    return listed.stdout.split(b"\n")[:-1]


def file(path: bytes, content: bytes = b"") -> File:
    return File(path, len(content), (content,))


def test_each_kind_of_entry() -> None:
    entries = (
        Directory(ROOT, 0o755),
        Directory(b"bin"),
        File(b"bin/app", 3, (b"a", b"", b"bc"), 0o555),
        Symlink(b"bin/link", b"app"),
        Directory(b"tmp", 0o1777, 65532, 65533),
        File(b"tmp/x", 0, (), 0o600, 1, 2),
    )
    data = tar(*entries)
    assert members(data) == [expected(entry) for entry in entries]
    assert kinds(data) == "550250"


def test_directories_end_with_a_slash_and_the_root_is_dot_slash() -> None:
    data = tar(Directory(ROOT), Directory(b"a"), Directory(b"a/b"))
    assert [data[at : at + 6].rstrip(b"\0") for at in (0, 512, 1024)] == [b"./", b"a/", b"a/b/"]


def test_a_tar_ends_with_two_empty_records_and_no_padding() -> None:
    assert tar() == bytes(1024)
    assert len(tar(file(b"x", b"y"))) == 512 + 512 + 1024


def golden() -> tuple[Entry, ...]:
    return (
        Directory(b"nix", 0o755),
        Directory(b"nix/store", 0o755),
        Directory(b"nix/store/" + b"0" * 32 + b"-app-1"),
        File(b"nix/store/" + b"0" * 32 + b"-app-1/app", 513, (b"x" * 513,), 0o555),
        file(b"nix/store/" + b"0" * 32 + b"-app-1/" + b"long" * 40, b"long name"),
        Symlink(b"nix/store/" + b"0" * 32 + b"-app-1/\xff", "ü".encode()),
        Directory(b"tmp", 0o1777, 3_000_000, 4_000_000),
    )


def test_the_bytes_of_a_tar_are_pinned() -> None:
    """A change of this digest changes every layer of every image: announce it as such."""
    assert hashlib.sha256(tar(*golden())).hexdigest() == (
        "868050ffffb93b036ab657bb86c0bddcf3382d9109f7ed9fec6279a67b25422b"
    )


def test_gnu_tar_unpacks_the_same_tree(tmp_path: Path) -> None:
    require("tar")
    if os.geteuid() != 0:
        pytest.skip("only root can give files to others")
    entries = golden()
    subprocess.run(
        ["tar", "--extract", "--preserve-permissions", "--same-owner", "--directory", tmp_path],
        input=tar(Directory(ROOT, 0o755), *entries),
        check=True,
    )
    assert treedump(tmp_path) == treedump([Directory(ROOT, 0o755), *entries])


# prefix is 155 bytes, name 100; a directory's name ends with a slash.
BOUNDARIES = [
    pytest.param(file(b"n" * 99), "0", id="99 bytes fit"),
    pytest.param(file(b"n" * 100), "0", id="100 bytes fit"),
    pytest.param(file(b"n" * 101), "x0", id="101 bytes without a slash"),
    pytest.param(file(b"p/" + b"n" * 99), "0", id="101 bytes with a slash"),
    pytest.param(file(b"p" * 155 + b"/" + b"n" * 99), "0", id="155 + 99: 255 bytes"),
    pytest.param(file(b"p" * 155 + b"/" + b"n" * 100), "0", id="155 + 100: 256 bytes, the most"),
    pytest.param(file(b"p" * 156 + b"/" + b"n" * 99), "x0", id="156 + 99: 256 bytes, no place"),
    pytest.param(file(b"p" * 155 + b"/" + b"n" * 101), "x0", id="155 + 101: 257 bytes"),
    pytest.param(file(b"p" * 156 + b"/n"), "x0", id="a prefix of 156 bytes and a short name"),
    pytest.param(file(b"p" * 155 + b"/n"), "0", id="a prefix of 155 bytes and a short name"),
    pytest.param(file(b"p/" + b"n" * 101), "x0", id="a slash too early"),
    pytest.param(file(b"/".join([b"n" * 9] * 26)), "x0", id="259 bytes in many parts"),
    pytest.param(file(b"/".join([b"n" * 9] * 25)), "0", id="249 bytes in many parts"),
    pytest.param(Directory(b"n" * 99), "5", id="a directory of 99 bytes and its slash fit"),
    pytest.param(Directory(b"n" * 100), "x5", id="a directory of 100 bytes has no place for it"),
    pytest.param(Directory(b"p/" + b"n" * 99), "5", id="a directory of 101 bytes in two parts"),
    pytest.param(
        Directory(b"p" * 155 + b"/" + b"n" * 99), "5", id="155 + 99 and the slash, the most"
    ),
    pytest.param(Directory(b"p" * 155 + b"/" + b"n" * 100), "x5", id="155 + 100 and the slash"),
    pytest.param(Directory(b"p" * 156 + b"/" + b"n" * 9), "x5", id="a directory below 156 bytes"),
    pytest.param(Symlink(b"l", b"t" * 100), "2", id="a target of 100 bytes fits"),
    pytest.param(Symlink(b"l", b"t" * 101), "x2", id="a target of 101 bytes"),
    pytest.param(Symlink(b"l" * 101, b"t" * 101), "x2", id="name and target too long"),
    pytest.param(Symlink(b"l", b"../" * 1365), "x2", id="a target of 4095 bytes"),
    pytest.param(file(b"/".join([b"n" * 255] * 16)), "x0", id="4095 bytes: as long as Linux opens"),
    pytest.param(file(b"/".join([b"n" * 240] * 17)), "x0", id="4096 bytes"),
    pytest.param(file("é".encode()), "x0", id="not ASCII"),
    pytest.param(file(b"\xff"), "x0", id="not UTF-8"),
    pytest.param(file(b"n" * 99 + "é".encode()), "x0", id="a character over the 100th byte"),
    pytest.param(file(b"n" * 99 + b"/" + b"x" * 200), "x0", id="cut after a slash: still a file"),
    pytest.param(Symlink(b"l", "é".encode()), "x2", id="a target that is not ASCII"),
    pytest.param(Symlink(b"l", b"\xff"), "x2", id="a target that is not UTF-8"),
    pytest.param(Symlink("é".encode(), b"\xff"), "x2", id="name UTF-8, target not"),
    pytest.param(file(b"new\nline\ttab \\ space "), "0", id="ASCII that is not printable"),
    pytest.param(file("é\n=x\n".encode()), "x0", id="what looks like the end of a record"),
    pytest.param(File(b"f", 0, (), uid=0o7777777), "0", id="the largest uid that fits"),
    pytest.param(File(b"f", 0, (), uid=0o10000000), "x0", id="the first uid that does not"),
    pytest.param(File(b"f", 0, (), gid=0o10000000), "x0", id="the first gid that does not"),
    pytest.param(Directory(b"d", 0o755, 2**32 - 2, 2**31), "x5", id="the largest uid"),
]


@pytest.mark.parametrize(("entry", "raw"), BOUNDARIES)
def test_a_pax_record_comes_where_a_value_does_not_fit(entry: Entry, raw: str) -> None:
    data = tar(entry, file(b"next", b"content"))
    assert kinds(data) == raw + "0"
    assert members(data) == [expected(entry), expected(file(b"next", b"content"))]


# `tar --list` ends a name with a newline, so it cannot tell one in a name.
ONE_LINE = [row for row in BOUNDARIES if b"\n" not in row.values[0].path]  # type: ignore[union-attr]


@pytest.mark.parametrize(("entry", "raw"), ONE_LINE)
def test_gnu_tar_reads_the_same_name(entry: Entry, raw: str) -> None:  # noqa: ARG001
    shown = entry.path + (b"/" if isinstance(entry, Directory) else b"")
    assert gnu_names(tar(entry, file(b"next"))) == [shown, b"next"]


@pytest.mark.parametrize("length", [*range(85, 105), *range(980, 1010)])
def test_the_length_in_a_pax_record_counts_itself(length: int) -> None:
    """Its digits are part of it: at 100 and 1000 bytes there is one more."""
    entry = Symlink(b"l", b"\xff" * length)
    assert members(tar(entry)) == [expected(entry)]


def test_the_bytes_of_a_pax_header() -> None:
    data = tar(Symlink("é".encode(), b"\xff"))
    assert data[:9] == b"PaxHeader"
    assert data[512:1024].rstrip(b"\0") == (
        b"21 hdrcharset=BINARY\n14 linkpath=\xff\n11 path=\xc3\xa9\n"
    )


@pytest.mark.parametrize(
    "size", [pytest.param((8 << 30) - 1, id="fits"), pytest.param(8 << 30, id="does not fit")]
)
def test_a_size_of_8_gib_comes_as_a_pax_record(tmp_path: Path, size: int) -> None:
    """The content is a hole in a file: what lists a tar skips over it."""
    chunk = bytes(BLOCK)
    entry = File(b"huge", size, (chunk for _ in iter(int, 1)))
    header = next(iter(tar_blocks([entry])))[: 512 * (3 if size >= 8 << 30 else 1)]
    with open(tmp_path / "huge.tar", "xb") as out:
        out.write(header)
        out.seek(size + -size % 512, os.SEEK_CUR)
        out.write(tar(file(b"next")))
    with tarfile.open(tmp_path / "huge.tar") as archive:
        assert [(m.name, m.size, m.mtime) for m in archive] == [("huge", size, 1), ("next", 0, 1)]
    require("tar")
    listed = subprocess.run(
        ["tar", "--list", "--verbose", "--numeric-owner", "--utc", "-f", tmp_path / "huge.tar"],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    assert [line.split() for line in listed.stdout.splitlines()] == [
        ["-r--r--r--", "0/0", str(size), "1970-01-01", "00:00", "huge"],
        ["-r--r--r--", "0/0", "0", "1970-01-01", "00:00", "next"],
    ]


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(file(b"a\0b"), id="in a name"),
        pytest.param(Directory(b"a\0b"), id="in a directory's name"),
        pytest.param(Symlink(b"a\0b", b"x"), id="in a link's name"),
    ],
)
def test_tar_cannot_hold_a_nul(entry: Entry) -> None:
    with pytest.raises(RepresentationError, match=r"^cannot put a\\x00b/? into a tar: NUL in a"):
        tar(entry)


def test_tar_cannot_hold_a_nul_in_a_target() -> None:
    with pytest.raises(RepresentationError) as caught:
        tar(Symlink(b"l", b"x\0y"))
    assert str(caught.value) == "cannot put l into a tar: NUL in a name"


@given(
    kind=st.sampled_from([b"0", b"2", b"3", b"4", b"5", b"6"]),
    numbers=st.tuples(st.integers(0, 0o7777), *[st.integers(0, 2**32)] * 2),
    mtime=st.integers(-(2**40), 2**40),
    device=st.tuples(*[st.integers(0, 8**7 - 1)] * 2),
    note=st.binary(max_size=600),
)
def test_what_was_read_of_a_tar_is_written_and_read_the_same(
    kind: bytes, numbers: tuple[int, int, int], mtime: int, device: tuple[int, int], note: bytes
) -> None:
    mode, uid, gid = numbers
    member = untar.Member(
        *(b"name", kind, mode, 0, b"target" if kind == b"2" else b""),
        uid=uid,
        gid=gid,
        mtime=mtime,
        device=device if kind in b"34" else (0, 0),
        extended={untar.XATTR + b"user.note": note},
    )
    (found,) = untar.TarReader([member_header(member, b"name"), END])
    extended = {key: value for key, value in found.extended.items() if key != b"mtime"}
    assert replace(found, extended=extended) == member


def test_a_hard_link_has_no_content() -> None:
    member = untar.Member(b"name", b"0", 0o644, 10, b"")
    (found,) = untar.TarReader([member_header(member, b"other", b"name"), END])
    assert (found.name, found.kind, found.link, found.size) == (b"other", b"1", b"name", 0)


def test_content_that_looks_like_a_tar_is_inert() -> None:
    inner = tar(file(b"evil", b"x"), file(b"end"))
    entries = (file(b"a.tar", inner), file(b"zeros", bytes(2048)), file(b"next", b"y"))
    assert members(tar(*entries)) == [expected(entry) for entry in entries]


SIZES = [
    *(0, 1, 511, 512, 513, BLOCK - 2048, BLOCK - 1537, BLOCK - 1536, BLOCK - 1535, BLOCK - 512),
    *(BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1536, 3 * BLOCK + 7),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("chunk", [1 << 12, 1 << 18, 5 << 20])
def test_blocks_are_of_one_size_but_the_last(size: int, chunk: int) -> None:
    content = b"0123456789abcdef" * (size // 16) + b"!" * (size % 16)
    pieces = [content[at : at + chunk] for at in range(0, size, chunk)]
    blocks = list(tar_blocks([File(b"f", size, pieces)]))
    total = 512 + size + -size % 512 + 1024
    assert [len(block) for block in blocks[:-1]] == [BLOCK] * ((total - 1) // BLOCK)
    assert 0 < len(blocks[-1]) <= BLOCK
    whole = b"".join(blocks)
    assert len(whole) == total
    assert whole[512 : 512 + size] == content
    assert not any(whole[512 + size :])


def test_entries_are_asked_for_only_when_their_block_is() -> None:
    asked: list[int] = []

    def entries() -> Iterator[Entry]:
        for number in range(8):
            asked.append(number)
            yield File(b"%d" % number, BLOCK, (bytes(BLOCK),))

    blocks = iter(tar_blocks(entries()))
    next(blocks)
    assert asked == [0]


_NAMES = st.one_of(
    st.sampled_from([b"a", b"a-b", b"a.b", b"B", b"-x", b"x" * 100, b"y" * 155, b"z" * 255]),
    st.text(max_size=8).map(lambda text: text.encode(errors="replace")),
    st.binary(max_size=8),
).filter(
    lambda name: (
        not (b"/" in name or b"\0" in name or name in (b"", b".", b"..") or name[:4] == b".wh.")
    )
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=5).map(b"/".join)
_IDS = st.sampled_from([0, 1, 65532, 2**21 - 1, 2**21, 2**32 - 2])
_MODES = st.sampled_from([0o444, 0o555, 0o644, 0o755, 0o1777, 0o600, 0])
_CONTENTS = st.binary(max_size=40) | st.sampled_from([bytes(511), bytes(512), bytes(513)])
_TARGETS = st.binary(min_size=1, max_size=120).filter(lambda target: b"\0" not in target)
_ENTRIES = st.one_of(
    st.builds(Directory, _PATHS, _MODES, _IDS, _IDS),
    st.builds(
        lambda path, content, mode, uid, gid: replace(
            file(path, content), mode=mode, uid=uid, gid=gid
        ),
        *(_PATHS, _CONTENTS, _MODES, _IDS, _IDS),
    ),
    st.builds(Symlink, _PATHS, _TARGETS),
)


def _owned(entries: Iterable[Entry]) -> list[Owned]:
    """Those that can be in one tree: the first of each path, none below a file or link."""
    first = {entry.path: entry for entry in reversed(list(entries))}
    return [
        Owned(entry, "test")
        for entry in first.values()
        if all(
            isinstance(first.get(above, Directory(b"")), Directory) for above in parents(entry.path)
        )
    ]


@given(st.lists(_ENTRIES, max_size=8), st.data())
def test_any_tree_is_read_back_exactly(entries: list[Entry], data: st.DataObject) -> None:
    owned = _owned(entries)
    tree = Tree.merge(owned)
    written = tar(*tree)
    assert members(written) == [expected(entry) for entry in tree]
    assert tar(*Tree.merge(data.draw(st.permutations(owned)))) == written


def test_the_order_in_which_a_tree_was_made_does_not_show() -> None:
    owned = [Owned(entry, "test") for entry in golden()[:5]]
    assert {tar(*Tree.merge(some)) for some in permutations(owned)} == {tar(*Tree.merge(owned))}
