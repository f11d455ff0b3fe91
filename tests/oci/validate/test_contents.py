"""What can be wrong within a layer: its compression, its tar, its names, its store paths."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.smallimage import (
    PROGRAM,
    STORE_ENTRIES,
    STORE_LAYER,
    STORE_OBJECT,
    STORE_PATH,
    VIEW_ENTRIES,
    VIEW_LAYER,
    Entry,
    Layer,
    SmallImage,
    directory,
    entry,
    link,
    recorded,
    tar,
)
from support.spoiled import findings, in_two, packed_view, plain_view, view, zstd

from nix2oci.oci.layout.source import open_image
from nix2oci.oci.validate.read_layers import read_layers


def gnu_sparse(data: bytes) -> bytes:
    """The last layer with a GNU sparse header in front: 0 bytes stored of 1 MiB."""
    header = bytearray(tarfile.TarInfo("holes").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = b"S"
    header[483:495] = b"00004000000\0"
    header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 8 * 32)
    return bytes(header) + data


def with_byte(position: int, value: int) -> Callable[[bytes], bytes]:
    """A change of one byte, counted from the end when negative."""

    def change(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[position] ^= value
        return bytes(changed)

    return change


def unpadded(data: bytes) -> bytes:
    """A tar without its end mark and what follows it."""
    return data.rstrip(b"\0") + bytes(-len(data.rstrip(b"\0")) % 512)


def whole_end(data: bytes) -> bytes:
    return unpadded(data) + bytes(1024)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(
            packed_view(lambda data: data[:-4]),
            "error: layer 2: gzip member 1 ends too early [compression]",
            id="gzip without its end",
        ),
        pytest.param(
            packed_view(lambda data: data + b"\0" * 8),
            "error: layer 2: after gzip member 1 there is other data [compression]",
            id="gzip with zeros behind",
        ),
        pytest.param(
            packed_view(with_byte(-8, 1)),
            "error: layer 2: gzip member 1 is damaged:"
            " Error -3 while decompressing data: incorrect data check [compression]",
            id="gzip with a wrong CRC",
        ),
        pytest.param(
            packed_view(lambda data: data[:-4], zstd),
            "error: layer 2: zstd frame 1 ends too early [compression]",
            id="zstd without its end",
        ),
        pytest.param(
            packed_view(lambda data: data + b"more", zstd),
            "error: layer 2: after zstd frame 1 there is other data [compression]",
            id="zstd with text behind",
        ),
        pytest.param(
            packed_view(with_byte(-1, 1), in_two(zstd)),
            "error: layer 2: zstd frame 2 is damaged: zstd decompressor error:"
            " Restored data doesn't match checksum [compression]",
            id="zstd whose second frame has a wrong checksum",
        ),
        pytest.param(
            plain_view(unpadded),
            "warning: layer 2: it has no end mark [end-mark]",
            id="a tar without an end mark",
        ),
        pytest.param(
            plain_view(lambda data: data.rstrip(b"\0")),
            "warning: layer 2: it ends before the padding of its last file [end-mark]",
            id="a tar that ends with its last byte of content",
        ),
        pytest.param(
            plain_view(lambda data: unpadded(data) + bytes(512)),
            "warning: layer 2: it has half an end mark [end-mark]",
            id="a tar with half an end mark",
        ),
        pytest.param(
            plain_view(lambda data: unpadded(data) + bytes(512) + data),
            "error: layer 2: its end mark is one zero block instead of two [tar]",
            id="a tar that goes on behind one zero block",
        ),
        pytest.param(
            plain_view(lambda data: whole_end(data) + b"more"),
            "error: layer 2: there is data after its end mark [tar]",
            id="a tar with text behind its end",
        ),
        pytest.param(
            plain_view(lambda data: data[:600]),
            "error: layer 2: it ends within an entry [tar]",
            id="a tar cut in a header",
        ),
        pytest.param(
            plain_view(with_byte(0, 1)),
            "error: layer 2: the checksum of a header is wrong [tar]",
            id="a tar whose first header has a wrong checksum",
        ),
        pytest.param(
            plain_view(lambda _: b""),
            "warning: layer 2: it has no end mark [end-mark]",
            id="an empty tar",
        ),
        pytest.param(
            view(entry("/opt")),
            "error: layer 2: /opt: the name is absolute [name]",
            id="an absolute name",
        ),
        pytest.param(
            view(entry("etc/../../opt")),
            "error: layer 2: /etc/../../opt: the name leads upwards with '..' [name]",
            id="a name that leads upwards",
            marks=pytest.mark.filterwarnings("error"),
        ),
        pytest.param(
            view(entry("./etc//passwd")),
            "error: layer 2: /etc/passwd: the path is there twice [duplicate]",
            id="a path twice, written in another way",
        ),
        pytest.param(
            view(entry("etc/.wh.passwd")),
            "error: layer 2: /etc/.wh.passwd: names that start with '.wh.' mark deletions,"
            " and there is nothing to delete [whiteout]",
            id="a whiteout of what its own layer has",
        ),
        pytest.param(
            view(directory("etc/.wh.d")),
            "error: layer 2: /etc/.wh.d: names that start with '.wh.' mark deletions,"
            " and there is nothing to delete [whiteout]",
            id="a directory whose name is that of a whiteout",
        ),
        pytest.param(
            view(entry("etc/.wh.")),
            "error: layer 2: /etc/.wh.: names that start with '.wh.' mark deletions,"
            " and there is nothing to delete [whiteout]",
            id="a whiteout of nothing",
        ),
        pytest.param(
            view(entry(".wh..wh.opq")),
            "error: layer 2: /.wh..wh.opq: names that start with '.wh.' mark deletions,"
            " and there is nothing to delete [whiteout]",
            id="nearly an opaque whiteout",
        ),
        pytest.param(
            view(entry("hard", type=tarfile.LNKTYPE, linkname=STORE_PATH[1:] + "/bin/app")),
            f"error: layer 2: /hard: hard link to '{STORE_PATH[1:]}/bin/app',"
            " which is not in the layer [hardlink]",
            id="a hard link into another layer",
        ),
        pytest.param(
            view(entry("opt/file")),
            "warning: layer 2: /opt/file: the directory 'opt' does not come before [parent]",
            id="no entry for a directory",
        ),
        pytest.param(
            view(entry("etc/passwd/x")),
            "warning: layer 2: /etc/passwd/x: 'etc/passwd' is no directory [parent]",
            id="a file in a file",
        ),
        pytest.param(
            view(entry("null", type=tarfile.CHRTYPE)),
            "warning: layer 2: /null: it is a character device [special]",
            id="a device",
        ),
        pytest.param(
            view(entry("pipe", type=tarfile.FIFOTYPE)),
            "warning: layer 2: /pipe: it is a FIFO [special]",
            id="a FIFO",
        ),
        pytest.param(
            plain_view(gnu_sparse),
            "warning: layer 2: /holes: the file is stored with holes [sparse]",
            id="a sparse file of GNU tar",
        ),
        pytest.param(
            view(entry("holes", pax_headers={"GNU.sparse.major": "1"})),
            "warning: layer 2: /holes: the file is stored with holes [sparse]",
            id="a sparse file of PAX",
        ),
        pytest.param(
            view(entry("new\nline", pax_headers={"GNU.sparse.major": "1"})),
            r"warning: layer 2: /new\nline: the file is stored with holes [sparse]",
            id="a name with a newline is shown in one line",
        ),
    ],
)
def test_what_is_wrong_in_a_layer(tmp_path: Path, image: SmallImage, expected: str) -> None:
    assert expected in findings(image, tmp_path / "image")


def test_what_is_wrong_is_found_alone(tmp_path: Path) -> None:
    image = view(entry("etc/passwd"), entry("opt/file"), entry("pipe", type=tarfile.FIFOTYPE))
    codes = [line.rpartition("[")[2] for line in findings(image, tmp_path / "image")]
    assert codes == ["duplicate]", "parent]", "special]"]


def changed(position: int, new: Entry | None) -> SmallImage:
    """The good image with another entry in its store layer, whose annotation stays."""
    entries = [*STORE_ENTRIES[:position], *([new] if new else []), *STORE_ENTRIES[position + 1 :]]
    return SmallImage([Layer(tar(*entries), annotations=recorded()), VIEW_LAYER])


def reordered() -> SmallImage:
    entries = [*STORE_ENTRIES[:5], *STORE_ENTRIES[6:], STORE_ENTRIES[5]]
    return SmallImage([Layer(tar(*entries), annotations=recorded()), VIEW_LAYER])


def root_twice() -> SmallImage:
    """The directory that is the store path comes again right after itself."""
    at = next(n for n, (info, _) in enumerate(STORE_ENTRIES) if info.name == STORE_PATH[1:])
    entries = (*STORE_ENTRIES[: at + 1], *STORE_ENTRIES[at:])
    return SmallImage([Layer(tar(*entries), annotations=recorded()), VIEW_LAYER])


def in_two_runs() -> SmallImage:
    entries = [*STORE_ENTRIES[:6], *other_store_path(), *STORE_ENTRIES[6:]]
    return SmallImage([Layer(tar(*entries), annotations=recorded()), VIEW_LAYER])


OTHER = "nix/store/zyxwvsrqpnmlkjihgfdcba9876543210-other"


def other_store_path() -> list[Entry]:
    return [directory(OTHER, 0o555)]


MISMATCH = (
    "error: layer 1: its store paths or their NAR hashes are not those"
    " that its descriptor records [store-paths]"
)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(
            changed(7, entry(STORE_ENTRIES[7][0].name, b"tex.", mode=0o444)), id="content of a file"
        ),
        pytest.param(
            changed(7, entry(STORE_ENTRIES[7][0].name, b"text", mode=0o555)), id="executable bit"
        ),
        pytest.param(changed(8, link(STORE_ENTRIES[8][0].name, "b.txt")), id="target of a link"),
        pytest.param(changed(5, None), id="a directory is missing"),
        pytest.param(changed(8, directory(STORE_ENTRIES[8][0].name)), id="a directory for a link"),
        pytest.param(
            SmallImage(
                [
                    Layer(tar(*STORE_ENTRIES, *other_store_path()), annotations=recorded()),
                    VIEW_LAYER,
                ]
            ),
            id="a store path too many",
        ),
        pytest.param(
            SmallImage([STORE_LAYER, Layer(tar(*VIEW_ENTRIES), annotations=recorded())]),
            id="no store path at all",
        ),
        pytest.param(reordered(), id="not the order of a NAR"),
        pytest.param(in_two_runs(), id="not in one piece"),
        pytest.param(root_twice(), id="its own directory twice"),
    ],
)
def test_a_store_path_that_is_not_the_recorded_one(tmp_path: Path, image: SmallImage) -> None:
    found = findings(image, tmp_path / "image")
    assert MISMATCH in [line.replace("layer 2", "layer 1") for line in found]


@pytest.mark.parametrize(
    "image", [reordered(), in_two_runs(), root_twice()], ids=["order", "pieces", "root twice"]
)
def test_a_store_path_that_cannot_be_hashed_is_named(tmp_path: Path, image: SmallImage) -> None:
    expected = f"error: layer 1: {STORE_PATH}: it is not in the order of a NAR [store-paths]"
    assert expected in findings(image, tmp_path / "image")


def test_findings_of_store_paths_are_in_their_order(tmp_path: Path) -> None:
    paths = [f"nix/store/{letter * 32}-lib" for letter in "23456789"]
    files = [[directory(path, 0o555), entry(f"{path}/b"), entry(f"{path}/a")] for path in paths]
    entries = [*STORE_ENTRIES[:2], *(entry for of_path in files for entry in of_path)]
    image = SmallImage([Layer(tar(*entries), annotations=recorded()), VIEW_LAYER])
    found = [line for line in findings(image, tmp_path / "image") if "the order of a NAR" in line]
    assert found == [
        f"error: layer 1: /{path}: it is not in the order of a NAR [store-paths]" for path in paths
    ]


def test_a_store_directory_that_nobody_can_write_into(tmp_path: Path) -> None:
    image = changed(1, directory("nix/store", 0o555))
    assert findings(image, tmp_path / "image") == [
        "warning: layer 1: /nix/store: the directory has mode 0555, not 0755 [store-directory]"
    ]


def test_store_paths_and_their_sizes_are_told(tmp_path: Path) -> None:
    image = SmallImage([Layer(tar(*STORE_ENTRIES, *other_store_path())), VIEW_LAYER])
    source = open_image(str(image.write(tmp_path / "image")))
    store_layer, view_layer = read_layers(source, source.layers())
    assert store_layer.store_paths == {STORE_PATH: 7 * 512 + 2 * 512, "/" + OTHER: 512}
    assert view_layer.store_paths == {}
    assert store_layer.nar_hashes == {}
    assert store_layer.complete
    assert list(store_layer.nodes) == [
        info.name.encode() for info, _ in (*STORE_ENTRIES, *other_store_path())
    ]


@pytest.mark.parametrize(
    ("node", "entries"),
    [
        pytest.param(b"text", [entry(STORE_PATH[1:], b"text", mode=0o444)], id="a file"),
        pytest.param(PROGRAM, [entry(STORE_PATH[1:], PROGRAM)], id="an executable file"),
        pytest.param("/x", [link(STORE_PATH[1:], "/x")], id="a link"),
        pytest.param({}, [directory(STORE_PATH[1:], 0o555)], id="an empty directory"),
        pytest.param(
            {"a": {"b": {"c": {}}}, "a.b": b"x" * 9},
            [
                directory(STORE_PATH[1:], 0o555),
                directory(STORE_PATH[1:] + "/a"),
                directory(STORE_PATH[1:] + "/a/b"),
                directory(STORE_PATH[1:] + "/a/b/c"),
                entry(STORE_PATH[1:] + "/a.b", b"x" * 9, mode=0o444),
            ],
            id="deep directories, and a name that a path sorts before",
        ),
        pytest.param(STORE_OBJECT, STORE_ENTRIES[2:], id="a directory with all"),
    ],
)
def test_the_nar_hash_is_that_of_nix(tmp_path: Path, node: object, entries: list[Entry]) -> None:
    layer = Layer(tar(*STORE_ENTRIES[:2], *entries), annotations=recorded(node))  # type: ignore[arg-type]
    found = findings(SmallImage([layer]), tmp_path / "image")
    assert not [line for line in found if "[store-paths]" in line]
