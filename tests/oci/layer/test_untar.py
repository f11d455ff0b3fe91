"""Reading tar strictly, and the same as others do where a tar is good."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nix2oci.oci.layer.untar import Member, TarError, TarReader


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def read(chunks: Iterable[bytes]) -> list[tuple[Member, bytes]]:
    reader = TarReader(chunks)
    return [(member, b"".join(reader.content())) for member in reader]


NAMES = st.lists(
    st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1)
    | st.text("ab", min_size=90, max_size=130),
    min_size=1,
    max_size=4,
).map("/".join)


@pytest.mark.parametrize(
    ("uid", "gid"),
    [
        pytest.param(0o7777777, 0o7777777, id="the largest that fit"),
        pytest.param(1000, 2**31, id="a group that does not fit"),
        pytest.param(2**31, 1000, id="a user that does not fit"),
    ],
)
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "GNU"])
def test_owners_of_any_number_are_read(form: int, uid: int, gid: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        info = tarfile.TarInfo("f")
        info.uid, info.gid = uid, gid
        tar.addfile(info)
    ((member, _),) = read([out.getvalue()])
    assert (member.uid, member.gid) == (uid, gid)


@pytest.mark.parametrize(
    ("mtime", "seconds", "record"),
    [
        pytest.param(1, 1, None, id="a plain number"),
        pytest.param(8**11 - 1, 8**11 - 1, None, id="the largest that fits"),
        pytest.param(8**11, 8**11, b"8589934592", id="one that does not fit"),
        pytest.param(-1, -1, b"-1", id="before 1970"),
        pytest.param(2.5, 2, b"2.5", id="a part of a second"),
        pytest.param(-2.5, -3, b"-2.5", id="a part of a second before 1970, rounded down"),
    ],
)
def test_times_are_read(mtime: float, seconds: int, record: bytes | None) -> None:
    member = only_member(tarfile.PAX_FORMAT, mtime=mtime)
    assert (member.mtime, member.extended.get(b"mtime")) == (seconds, record)


@pytest.mark.parametrize("mtime", [-1, -(2**40), 8**11, 2**60])
def test_times_in_base_256_are_read(mtime: int) -> None:
    assert only_member(tarfile.GNU_FORMAT, mtime=mtime).mtime == mtime


@pytest.mark.parametrize("time", [b"nonsense", b"\x80" + b"\xff" * 11, b" " * 12])
def test_a_time_that_is_none_is_0_as_for_others(time: bytes) -> None:
    block = header(mtime=time.ljust(12, b"\0"))
    ((member, _),) = read([summed(block), bytes(1024)])
    assert member.mtime == 0


def test_of_devices_the_numbers_are_read() -> None:
    device = {"type": tarfile.CHRTYPE, "devmajor": 10, "devminor": 229}
    assert only_member(tarfile.GNU_FORMAT, **device).device == (10, 229)
    assert only_member(tarfile.PAX_FORMAT, type=tarfile.REGTYPE).device == (0, 0)


def test_attributes_are_read_and_other_records_are_not_kept() -> None:
    records = {"SCHILY.xattr.user.a": "=\n", "SCHILY.acl.access": "x", "comment": "x"}
    member = only_member(tarfile.PAX_FORMAT, pax_headers=records)
    assert member.extended == {b"SCHILY.xattr.user.a": b"=\n"}


def only_member(form: int, **fields: Any) -> Member:
    """What is read of a tar that Python wrote, of one empty entry."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        info = tarfile.TarInfo("f")
        for key, value in fields.items():
            setattr(info, key, value)
        tar.addfile(info)
    ((member, _),) = read([out.getvalue()])
    return member


@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=1500), st.integers(0, 0o7777)), max_size=5),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.integers(1, 2000),
)
def test_what_tarfile_wrote_reads_the_same(
    files: list[tuple[str, bytes, int]], form: int, size: int
) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, content, mode in files:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, name
            tar.addfile(info)
    found = read(pieces(out.getvalue(), size))
    assert [(m.name, m.kind, m.mode, m.size, m.link, content) for m, content in found] == [
        item
        for name, content, mode in files
        for item in (
            (name.encode(), b"0", mode, len(content), b"", content),
            (name.encode(), b"2", 0o644, 0, name.encode(), b""),
        )
    ]


def header(**fields: bytes) -> bytearray:
    """A ustar header of an empty file whose fields are set as bytes, the checksum left out."""
    at = {
        "name": 0,
        "mode": 100,
        "size": 124,
        "mtime": 136,
        "kind": 156,
        "link": 157,
        "magic": 257,
        "prefix": 345,
    }
    block = bytearray(tarfile.TarInfo("file").tobuf(tarfile.USTAR_FORMAT))
    for key, value in fields.items():
        block[at[key] : at[key] + len(value)] = value
    return block


def summed(block: bytearray) -> bytes:
    block[148:156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 8 * 32)
    return bytes(block)


END = bytes(1024)


@pytest.mark.parametrize(
    ("block", "member"),
    [
        pytest.param(header(kind=b"\0"), Member(b"file", b"0", 0o644, 0, b""), id="an old file"),
        pytest.param(header(kind=b"7"), Member(b"file", b"0", 0o644, 0, b""), id="contiguous"),
        pytest.param(
            header(name=b"dir/\0", kind=b"\0"),
            Member(b"dir/", b"5", 0o644, 0, b""),
            id="an old directory",
        ),
        pytest.param(
            header(prefix=b"a/b"), Member(b"a/b/file", b"0", 0o644, 0, b""), id="a prefix"
        ),
        pytest.param(
            header(prefix=b"a/b", magic=b"ustar  \0"),
            Member(b"file", b"0", 0o644, 0, b""),
            id="GNU has no prefix",
        ),
        pytest.param(
            header(kind=b"5", size=b"00000000777\0"),
            Member(b"file", b"5", 0o644, 0, b""),
            id="a directory has no content whatever its size says",
        ),
        pytest.param(header(mode=b"   755 \0"), Member(b"file", b"0", 0o755, 0, b""), id="spaces"),
        pytest.param(
            header(mode=b"\x80\0\0\0\0\0\x01\xed"),
            Member(b"file", b"0", 0o755, 0, b""),
            id="base 256",
        ),
        pytest.param(
            header(name=b"\xff\xfe\0"), Member(b"\xff\xfe", b"0", 0o644, 0, b""), id="no UTF-8"
        ),
    ],
)
def test_old_and_strange_headers(block: bytearray, member: Member) -> None:
    assert read([summed(block) + END]) == [(member, b"")]


def extended(kind: bytes, data: bytes) -> bytes:
    block = header(kind=kind, size=b"%011o\0" % len(data))
    return summed(block) + data + bytes(-len(data) % 512)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(
            summed(header(size=b"0000000000x\0")),
            "a header has b'0000000000x' for a number",
            id="letters",
        ),
        *(
            pytest.param(
                summed(header(size=digits + b"\0")),
                f"a header has {digits!r} for a number",
                id=f"{digits!r} for a size",
            )
            for digits in (b"-0000000007", b"+0000000007", b"00000001_17", b"0o000000017")
        ),
        pytest.param(
            summed(header(size=b"\x80" + b"\xff" * 11)),
            f"a header has {2**88 - 1} for a number",
            id="a size that no disk has",
        ),
        pytest.param(
            extended(b"x", b"5011 size=" + b"9" * 5000 + b"\n") + summed(header()),
            f"an extended header has {b'9' * 40!r} for a size",
            id="a size of thousands of digits",
        ),
        pytest.param(
            extended(b"x", b"28 size=9223372036854775808\n") + summed(header()),
            "an extended header has b'9223372036854775808' for a size",
            id="a size that is one too many",
        ),
        pytest.param(
            extended(b"x", b"524288 a=" + b"x" * 524278 + b"\n") * 3,
            f"an extended header has {3 * 524288} bytes",
            id="several extended headers that are too much together",
        ),
        pytest.param(
            extended(b"x", b"9 path=a\n") + END, "it ends after an extended header", id="alone"
        ),
        pytest.param(
            extended(b"x", b"99 path=a\n"), "an extended header is damaged", id="too long"
        ),
        pytest.param(
            extended(b"x", b"8 path=a\n"), "an extended header is damaged", id="too short"
        ),
        pytest.param(extended(b"x", b"path=a\n"), "an extended header is damaged", id="no length"),
        pytest.param(extended(b"x", b"7 path\n"), "an extended header is damaged", id="no value"),
        pytest.param(
            extended(b"x", b"10 size=-\n") + summed(header()),
            "an extended header has b'-' for a size",
            id="a size that is none",
        ),
        pytest.param(
            summed(header(kind=b"x", size=b"77777777777\0")),
            "an extended header has 8589934591 bytes",
            id="an extended header that would fill the memory",
        ),
        pytest.param(
            summed(header(size=b"00000001000\0")) + b"x", "it ends within a file", id="cut"
        ),
        pytest.param(b"", "it has no end mark", id="nothing"),
    ],
)
def test_what_is_no_tar(data: bytes, message: str) -> None:
    with pytest.raises(TarError) as raised:
        read([data])
    assert str(raised.value) == message


def test_a_global_header_says_nothing_of_names() -> None:
    data = extended(b"g", b"9 path=a\n") + summed(header()) + END
    assert [member.name for member, _ in read([data])] == [b"file"]


def test_an_extended_header_of_many_records_is_read() -> None:
    records = b"".join(b"%d a%06d=b\n" % (13, n) for n in range(50_000))
    data = extended(b"x", records + b"9 path=b\n") + summed(header()) + END
    assert [member.name for member, _ in read([data])] == [b"b"]


def test_an_extended_header_is_for_one_member() -> None:
    data = extended(b"x", b"9 path=a\n") + summed(header()) + summed(header()) + END
    assert [member.name for member, _ in read([data])] == [b"a", b"file"]


def test_a_size_in_pax_is_believed() -> None:
    data = extended(b"x", b"9 size=3\n") + summed(header()) + b"abc" + bytes(509) + END
    assert [(member.size, content) for member, content in read([data])] == [(3, b"abc")]


def test_content_that_nobody_reads_is_passed_over() -> None:
    block = summed(header(size=b"00000001001\0")) + bytes(1024)
    assert [member.name for member in TarReader(pieces(block + block + END, 700))] == [b"file"] * 2


@pytest.mark.parametrize(
    ("name", "path"), [(b"./a//b/", b"a/b"), (b"/a", b"a"), (b"./", b""), (b"a/../b", b"a/../b")]
)
def test_the_path_is_the_normal_form_of_the_name(name: bytes, path: bytes) -> None:
    assert Member(name, b"0", 0, 0, b"").path == path
