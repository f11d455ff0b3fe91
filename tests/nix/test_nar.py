"""A NAR that arrives: its entries are those of the files, and whatever was changed is refused.

The judge is `support/fakestore.py`, which writes NARs with other code; Nix itself judges that one.
"""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.fakestore import FakeStore, Link, Node, Program, entries_of, nar, store_path, whole
from support.nodes import ANY_NODE, NODES

from nix2oci.errors import RepresentationError, StoreError
from nix2oci.model.closure import PathInfo, format_nar_hash
from nix2oci.model.tree import Directory, Entry, File, Symlink
from nix2oci.nix.nar import CHUNK, nar_entries, strings
from nix2oci.nix.store import store_entries
from nix2oci.oci.layer.tar import tar_blocks

APP = store_path("app-1")
WHERE = "https://cache.test"


def record(data: bytes) -> PathInfo:
    """What Nix would record of a NAR."""
    return PathInfo(APP, hashlib.sha256(data).digest(), len(data), ())


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def read(data: bytes, info: PathInfo | None = None, size: int = 1 << 16) -> list[Entry]:
    return whole(nar_entries(info or record(data), pieces(data, size), WHERE))


def refused(data: bytes, info: PathInfo | None = None) -> str:
    """What is wrong with a NAR, without the beginning that all messages have."""
    with pytest.raises(StoreError) as caught:
        read(data, info)
    assert type(caught.value) is StoreError
    start = f"cannot read {APP} from {WHERE}: its NAR "
    assert str(caught.value).startswith(start), str(caught.value)
    return str(caught.value).removeprefix(start)


@pytest.mark.parametrize("node", NODES)
def test_entries_are_those_of_the_files(store: FakeStore, node: Node) -> None:
    info = store.add("app-1", node)
    assert read(nar(node), info) == entries_of(info, node)
    tar = b"".join(tar_blocks(nar_entries(info, pieces(nar(node), 1 << 16), WHERE)))
    assert tar == b"".join(tar_blocks(store_entries(info, store.root)))


@given(ANY_NODE, st.integers(1, 100))
def test_any_nar_is_read_in_pieces_of_any_size(node: Node, size: int) -> None:
    data = nar(node)
    assert read(data, size=size) == entries_of(record(data), node)


@given(ANY_NODE, st.data())
def test_a_byte_that_was_changed_anywhere_is_noticed(node: Node, draw: st.DataObject) -> None:
    data = bytearray(nar(node))
    info = record(bytes(data))
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] ^= draw.draw(st.integers(1, 255))
    with pytest.raises((StoreError, RepresentationError)):
        read(bytes(data), info)


@given(ANY_NODE, st.data())
def test_a_nar_that_is_too_short_or_too_long_is_noticed(node: Node, draw: st.DataObject) -> None:
    data = nar(node)
    info, end = record(data), draw.draw(st.integers(0, len(data) - 1))
    with pytest.raises(StoreError, match=r"its NAR ends early$"):
        read(data[:end], info)
    with pytest.raises(StoreError, match=r"its NAR is longer than its record says$|its NAR goes"):
        read(data + bytes(draw.draw(st.integers(1, 9))), info)


@given(ANY_NODE, st.data())
def test_whatever_is_taken_is_the_one_spelling_of_what_it_says(
    node: Node, draw: st.DataObject
) -> None:
    """Also with a record that fits: Nix would give another hash to what it unpacks."""
    data = bytearray(nar(node))
    at = draw.draw(st.integers(0, len(data) - 1))
    data[at] ^= draw.draw(st.integers(1, 255))
    try:
        entries = read(bytes(data))
    except (StoreError, RepresentationError):
        return
    assert nar(node_of(entries)) == bytes(data)


def node_of(entries: list[Entry]) -> Node:
    """The object that has these entries."""
    first, *rest = entries
    if isinstance(first, Directory):
        below: dict[bytes, list[Entry]] = {}
        for entry in rest:
            name = entry.path[len(first.path) + 1 :].partition(b"/")[0]
            below.setdefault(name, []).append(entry)
        return {name: node_of(inner) for name, inner in below.items()}
    if isinstance(first, File):
        content = b"".join(first.chunks)
        return Program(content) if first.mode & 0o100 else content
    assert isinstance(first, Symlink)
    return Link(first.target)


def of(*words: bytes) -> bytes:
    return strings(b"nix-archive-1", *words)


def file(name: bytes) -> tuple[bytes, ...]:
    inner = (b"(", b"type", b"regular", b"contents", b"x", b")")
    return (b"entry", b"(", b"name", name, b"node", *inner, b")")


def directory(*names: bytes) -> bytes:
    """A directory of files with the names as they are given."""
    files = (word for name in names for word in file(name))
    return of(b"(", b"type", b"directory", *files, b")")


FORM = "is not in the form that Nix gives it"

HOSTILE = [
    pytest.param(b"", "ends early", id="nothing at all"),
    pytest.param(b"<html>" * 20, FORM, id="a web page"),
    pytest.param(of(b"(", b"type", b"socket", b")"), FORM, id="a type that there is not"),
    pytest.param(of(b"(", b"type", b"regular", b")"), FORM, id="a file without contents"),
    pytest.param(
        of(b"(", b"type", b"regular", b"contents", b"", b"executable", b"", b")"),
        FORM,
        id="executable after the contents",
    ),
    pytest.param(
        of(b"(", b"type", b"regular", b"executable", b"x", b"contents", b"", b")"),
        FORM,
        id="executable with a value",
    ),
    pytest.param(of(b"(", b"type", b"directory", b"node", b")"), FORM, id="a node without a name"),
    pytest.param(directory(b"a", b"a"), "has 'a' after 'a'", id="a name twice"),
    pytest.param(directory(b"b", b"a"), "has 'a' after 'b'", id="names that are not sorted"),
    pytest.param(directory(b""), "has a file that is named ''", id="an empty name"),
    pytest.param(directory(b"."), "has a file that is named '.'", id="the directory itself"),
    pytest.param(directory(b".."), "has a file that is named '..'", id="the directory above"),
    pytest.param(directory(b"a/b"), "has a file that is named 'a/b'", id="a slash in a name"),
    pytest.param(directory(b"a\0"), r"has a file that is named 'a\x00'", id="NUL in a name"),
    pytest.param(
        directory(b"x" * 256), "has 256 bytes where at most 255 can be", id="a name too long"
    ),
    pytest.param(
        of(b"(", b"type", b"symlink", b"target", b"", b")"), "has a link to ''", id="an empty link"
    ),
    pytest.param(
        of(b"(", b"type", b"symlink", b"target", b"a\0b", b")"),
        r"has a link to 'a\x00b'",
        id="NUL in a link",
    ),
    pytest.param(
        of(b"(", b"type", b"symlink", b"target", b"x" * 4096, b")"),
        "has 4096 bytes where at most 4095 can be",
        id="a link too long",
    ),
    pytest.param(nar(b"x").replace(b"x\0", b"x\1"), "has padding that is not zero", id="padding"),
    pytest.param(
        nar({b"a": b""}).replace(b"a\0", b"a\1"), "has padding that is not zero", id="of a name"
    ),
    pytest.param(nar(b"x") + bytes(8), "continues after its end", id="bytes after the end"),
    pytest.param(nar(b"") * 2, "continues after its end", id="two NARs"),
    pytest.param(
        nar(b"x").replace(b"\1" + bytes(7) + b"x", b"\xff" * 8 + b"x"),
        "is longer than its record says",
        id="a file of 2^64 bytes",
    ),
    pytest.param(
        b"\xff" * 7 + b"\x7f" + nar(b"x")[8:], FORM, id="a first word of almost 2^63 bytes"
    ),
    pytest.param(
        of(b"(", b"type", b"directory") + b"\xff" * 8,
        f"has {2**64 - 1} bytes where at most 5 can be",
        id="a word of 2^64 bytes",
    ),
]


@pytest.mark.parametrize(("data", "what"), HOSTILE)
def test_what_is_no_canonical_nar_is_refused_whatever_its_hash(data: bytes, what: str) -> None:
    assert refused(data) == what


@pytest.mark.parametrize(
    ("data", "what"),
    [
        pytest.param(nar(bytes(CHUNK + 9))[: CHUNK >> 1], "ends early", id="in the middle"),
        pytest.param(
            nar(bytes(CHUNK + 9)).replace(strings(b")"), b"\1" * 16), FORM, id="after its end"
        ),
        pytest.param(
            nar(b"x" * (CHUNK + 9)).replace(b"x\0", b"x\1"),
            "has padding that is not zero",
            id="in its padding",
        ),
    ],
)
def test_what_is_wrong_with_a_large_file_is_said_as_well(data: bytes, what: str) -> None:
    assert refused(data, record(nar(b"x" * (CHUNK + 9)))) == what


def test_what_has_another_hash_is_refused(store: FakeStore) -> None:
    info = store.add("app-1", b"good")
    with pytest.raises(StoreError) as caught:
        read(nar(b"evil"), info)
    got = format_nar_hash(hashlib.sha256(nar(b"evil")).digest())
    assert str(caught.value) == (
        f"cannot use {APP}: what {WHERE} sends does not match the hash in its record: "
        f"expected {format_nar_hash(info.nar_hash)}, got {got}"
    )
    assert caught.value.hint == (
        f"that store is damaged; ask Nix with: nix store verify --no-trust --store '{WHERE}' {APP}"
    )


def test_what_is_shorter_than_its_record_is_refused() -> None:
    data = nar(b"x")
    with pytest.raises(StoreError, match="does not match the hash in its record"):
        read(data, replace(record(data), nar_size=len(data) + 8))


def test_a_name_that_no_layer_can_carry_is_refused() -> None:
    with pytest.raises(RepresentationError) as caught:
        read(nar({b".wh.x": b""}))
    assert str(caught.value) == (
        f"cannot put {APP}/.wh.x into a layer: names that start with '.wh.' mark deletions"
    )


def test_a_path_that_is_too_long_is_refused_before_it_grows() -> None:
    node: Node = {}
    for _ in range(20):
        node = {b"d" * 250: node}
    with pytest.raises(RepresentationError, match=r"its name is too long$"):
        read(nar(node))


def test_directories_in_directories_need_no_stack() -> None:
    assert len(read(nested(1800))) == 1801


def nested(depth: int) -> bytes:
    """The NAR of directories in each other."""
    begin = of(b"(", b"type", b"directory")
    inner = strings(b"entry", b"(", b"name", b"d", b"node", b"(", b"type", b"directory")
    return begin + inner * depth + strings(b")", b")") * depth + strings(b")")


def test_a_file_that_nobody_reads_counts_all_the_same() -> None:
    data = nar({b"a": bytes(3 * CHUNK), b"b": b""})
    assert [entry.path[-1:] for entry in nar_entries(record(data), pieces(data, CHUNK), WHERE)] == [
        b"1",
        b"a",
        b"b",
    ]


def test_a_large_file_is_never_in_memory_as_a_whole() -> None:
    size = 40 << 20
    head = strings(b"nix-archive-1", b"(", b"type", b"regular", b"contents")
    whole_nar = head + size.to_bytes(8, "little")
    end = strings(b")")
    digest = hashlib.sha256(whole_nar + bytes(size) + end)
    info = PathInfo(APP, digest.digest(), len(whole_nar) + size + len(end), ())
    block = bytes(1 << 16)
    stream = (*(block for _ in range(size >> 16)), end)
    tracemalloc.start()
    try:
        for entry in nar_entries(info, iter((whole_nar, *stream)), WHERE):
            assert isinstance(entry, File)
            assert sum(map(len, entry.chunks)) == size
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 << 20
