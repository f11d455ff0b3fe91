"""The table of a zstd:chunked layer, wrong in one way at a time."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.chunkedblob import CHECKSUM, ENTRIES, POSITION, SPLIT, chunked, layer, zstd
from support.smallimage import STORE_LAYER, Json, Layer, SmallImage, entry, tar
from support.spoiled import findings, setting, without

from nix2oci.oci.validate.check_image import validate_layout

LONG, COME = "a" * 200, "does not come before [parent]"
PASSWD, DATA, SECOND, LAST = 3, 5, 6, 7
"""Entries of the table: a file in one chunk, one in three, its other chunks."""


def image(one: Layer) -> SmallImage:
    return SmallImage([STORE_LAYER, one])


def found(tmp_path: Path, one: Layer) -> list[str]:
    return findings(image(one), tmp_path / "image")


def of(number: int, key: str, to: Any) -> Callable[[Json], None]:
    """An edit of one entry of the table."""
    return setting("entries", number, key, to=to)


def moved(number: int, key: str, by: int) -> Callable[[Json], None]:
    def edit(table: Json) -> None:
        table["entries"][number][key] += by

    return edit


def exchanged(one: int, other: int) -> Callable[[Json], None]:
    """Two chunks of the same bytes, each with the place of the other."""

    def edit(table: Json) -> None:
        first, second = table["entries"][one], table["entries"][other]
        first["offset"], second["offset"] = second["offset"], first["offset"]

    return edit


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        pytest.param(layer(), [], id="a table as containers tools write it"),
        pytest.param(layer(with_split=False), [], id="one without a tar-split, as before 2024"),
        pytest.param(layer(tar()), [], id="of a layer without entries"),
        pytest.param(
            layer(tar(entry(f"{LONG}/ü{{", b"x"), entry("./srv//b", b"y"))),
            [
                f"warning: layer 2: /{LONG}/ü{{: the directory '{LONG}' {COME}",
                f"warning: layer 2: /srv/b: the directory 'srv' {COME}",
            ],
            id="names that are long, odd, or written in another way",
        ),
    ],
)
def test_good_tables_have_no_finding(tmp_path: Path, one: Layer, expected: list[str]) -> None:
    assert found(tmp_path, one) == expected


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        pytest.param(
            of(PASSWD, "digest", "sha256:" + "0" * 64),
            "/etc/passwd: the table has it with another digest",
            id="another digest of a file",
        ),
        pytest.param(
            of(PASSWD, "mode", 0o4755),
            "/etc/passwd: the table has it with another mode",
            id="another mode, which would let everybody be root",
        ),
        pytest.param(
            of(PASSWD, "uid", 7), "/etc/passwd: the table has it with another owner", id="an owner"
        ),
        pytest.param(
            of(PASSWD, "gid", 7), "/etc/passwd: the table has it with another group", id="a group"
        ),
        pytest.param(
            of(PASSWD, "modtime", "2020-01-01T00:00:00Z"),
            "/etc/passwd: the table has it with another time",
            id="another time",
        ),
        pytest.param(
            without("entries", PASSWD, "modtime"),
            "/etc/passwd: the table has it with another time",
            id="no time, which is 1970",
        ),
        pytest.param(
            of(PASSWD, "size", 16), "/etc/passwd: the table has it with another size", id="a size"
        ),
        pytest.param(
            of(PASSWD, "type", "symlink"),
            "/etc/passwd: the table has it with another type",
            id="another type",
        ),
        pytest.param(
            of(1, "linkName", "/bin/sh"),
            "/bin/app: the table has it with another target",
            id="another target of a link",
        ),
        pytest.param(
            of(PASSWD, "name", "etc/shadow"),
            "/etc/shadow: the table has it, and the layer has not, or the table has it twice",
            id="a file that the layer has not",
        ),
        pytest.param(
            without("entries", PASSWD),
            "/etc/passwd: it is not in the table",
            id="a file that the table has not",
        ),
        pytest.param(
            lambda table: table["entries"].append(table["entries"][PASSWD]),
            "/etc/passwd: the table has it, and the layer has not, or the table has it twice",
            id="a file that is there twice",
        ),
        pytest.param(
            setting("entries", to=[]),
            "/bin: it is not in the table, and 7 more",
            id="a table without entries",
        ),
        pytest.param(
            moved(PASSWD, "offset", 1),
            "/etc/passwd: its chunk at 0 is said to be at 344, where no frame begins",
            id="a chunk that begins within a frame",
        ),
        pytest.param(
            of(PASSWD, "offset", -1),
            "/etc/passwd: its chunk at 0 is said to be at -1, where no frame begins",
            id="a chunk before the blob",
        ),
        pytest.param(
            of(PASSWD, "offset", 2**64),
            f"/etc/passwd: its chunk at 0 is said to be at {2**64}, where no frame begins",
            id="a chunk behind all blobs",
        ),
        pytest.param(
            moved(PASSWD, "endOffset", 1),
            "/etc/passwd: its chunk at 0 is said to end at 368, its frame does at 367",
            id="a chunk that ends elsewhere than its frame",
        ),
        pytest.param(
            of(SECOND, "chunkDigest", "sha256:no digest\x1b[31m"),
            "/srv/data: its chunk at 1000 has digest sha256:…, the table says "
            "sha256:no digest\\x1b[31m",
            id="another digest of a chunk, which would paint a terminal",
        ),
        pytest.param(
            of(SECOND, "chunkSize", 999),
            "/srv/data: its chunk at 1000 has … bytes, the table says …",
            id="another size of a chunk",
        ),
        pytest.param(
            of(SECOND, "chunkSize", 0),
            "/srv/data: its chunk at 1000 has … bytes, the table says 0",
            id="a size of a chunk in the middle that is left out",
        ),
        pytest.param(
            of(DATA, "chunkDigest", ""),
            "/srv/data: its chunk at 0 has digest sha256:…, the table says ",
            id="a digest of one chunk of several that is left out",
        ),
        pytest.param(
            of(SECOND, "chunkOffset", 1001),
            "/srv/data: the frame at 522 has another part of the layer than its chunk at 0",
            id="chunks that leave out a byte",
        ),
        pytest.param(
            of(LAST, "chunkOffset", 0),
            "/srv/data: its chunk at 0 is not behind the one before",
            id="chunks that go backwards",
        ),
        pytest.param(
            exchanged(DATA, SECOND),
            "/srv/data: its chunk at 0 is said to end at 522, its frame does at 1062",
            id="two chunks of the same bytes that were exchanged",
        ),
        pytest.param(
            of(LAST, "name", "etc/passwd"),
            "/srv/data: a chunk of another file comes after it",
            id="a chunk of another file",
        ),
        pytest.param(
            without("entries", LAST),
            "/srv/data: its chunk at 1000 is said to end at 1331, its frame does at 1062",
            id="a file that lacks its last chunk",
        ),
    ],
)
def test_a_table_that_says_something_else_than_the_layer(
    tmp_path: Path, table: Callable[[Json], object], expected: str
) -> None:
    first = found(tmp_path, layer(table=table))[0]
    assert first == f"error: layer 2: {expected} [chunk-table]"


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        pytest.param(
            layer(lines=setting(0, "payload", to="AAAA")),
            "file 1 of its tar-split is not that of the layer",
            id="a tar-split with other headers",
        ),
        pytest.param(
            layer(lines=lambda lines: lines.pop()),
            "its tar-split gives another tar than the layer has",
            id="a tar-split without the end of the tar",
        ),
        pytest.param(
            layer(lines=setting(7, "payload", to="AAAAAAAAAAA=")),
            "file 1 of its tar-split is not that of the layer",
            id="a tar-split with another checksum of a file",
        ),
        pytest.param(
            layer(lines=setting(7, "name", to="etc/shadow")),
            "file 1 of its tar-split is not that of the layer",
            id="a tar-split with another name of a file",
        ),
        pytest.param(
            layer(lines=setting(7, "size", to=14)),
            "file 1 of its tar-split is not that of the layer",
            id="a tar-split with another size of a file",
        ),
        pytest.param(
            layer(lines=setting(7, "size", to=-1)),
            "its tar-split has a line of type 1 and size -1",
            id="a tar-split with a size below zero",
        ),
        pytest.param(
            layer(lines=setting(0, "payload", to="no base64")),
            "its tar-split cannot be read: Only base64 data is allowed",
            id="a tar-split that is no base64",
        ),
        pytest.param(
            layer(raw_lines=lambda _: b"[" * 100_000),
            "its tar-split cannot be read: Expected `object`, got `array`",
            id="a tar-split of brackets",
        ),
        pytest.param(
            layer(raw_lines=lambda _: b" " * 9_000_000),
            "the tar-split has 9000000 bytes, too many for this layer",
            id="a tar-split of blanks that is larger than the layer can ask for",
        ),
        pytest.param(
            layer(table=setting("tarSplitDigest", to="sha256:" + "0" * 64)),
            "its tar-split is another one than the table of contents names",
            id="another tar-split than the table names",
        ),
        pytest.param(
            layer(tar(entry("holes", pax_headers={"GNU.sparse.major": "1"}))),
            "it has a file with holes, which no table can be held against",
            id="a file with holes, which would hide the rest",
        ),
        pytest.param(
            layer(table=setting("version", to=2)),
            "its table of contents has version 2",
            id="a table of another version",
        ),
        pytest.param(
            layer(table=of(PASSWD, "modtime", "yesterday")),
            "its table of contents cannot be read: Invalid RFC3339 encoded datetime - at …",
            id="a time that is none",
        ),
        pytest.param(
            layer(raw_table=lambda data: data.replace(b"etc", b"\xff\xfe\xff")),
            "its table of contents cannot be read: …",
            id="a table that is not UTF-8",
        ),
        pytest.param(
            layer(raw_table=lambda data: data.replace(b"version", b"\xff")),
            "its table of contents cannot be read: …",
            id="a table whose keys are not UTF-8",
        ),
        pytest.param(
            layer(raw_table=lambda _: b'{"version":1,"entries":[{},{}'),
            "its table of contents cannot be read: Input data was truncated",
            id="a table that ends too early",
        ),
        pytest.param(
            layer(
                raw_table=lambda _: (
                    b'{"version":1,"entries":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
                )
            ),
            "its table of contents cannot be read: …",
            id="a table of brackets",
        ),
        pytest.param(
            layer(raw_table=lambda data: data + b" " * 9_000_000),
            "the table of contents has … bytes, too many for this layer",
            id="a table with blanks that no layer of this size asks for",
        ),
        pytest.param(
            layer(footer=setting(0, to=2**64 - 1)),
            "the table of contents is not where the footer says, at … with … bytes",
            id="a footer that leads out of the blob",
        ),
        pytest.param(
            layer(footer=setting(0, to=0)),
            "the table of contents is not where the footer says, at … with … bytes",
            id="a footer that leads to the beginning of the blob",
        ),
        pytest.param(
            layer(footer=setting(2, to=7)),
            "the table of contents has not the 7 bytes that the footer says",
            id="a table that is longer than the footer says",
        ),
        pytest.param(
            layer(footer=setting(6, to=1 << 16)),
            "the tar-split has not the 65536 bytes that the footer says",
            id="a tar-split that is shorter than the footer says",
        ),
        pytest.param(
            layer(footer=setting(3, to=2)),
            "it is of the unknown kind 2",
            id="a table of another kind",
        ),
        pytest.param(
            layer(footer=lambda places: places.append(0)),
            "its footer has 72 bytes",
            id="a footer of another form",
        ),
        pytest.param(
            layer(annotations=setting(CHECKSUM, to="sha256:" + "0" * 64)),
            f"'{CHECKSUM}' is 'sha256:…', and the footer says sha256:…",
            id="an annotation with another checksum",
        ),
        pytest.param(
            layer(annotations=setting(POSITION, to="-1:99999999999999999999:x\n")),
            f"'{POSITION}' is '-1:99999999999999999999:x\\n', and the footer says …",
            id="an annotation that leads nowhere",
        ),
        pytest.param(
            layer(annotations=without(SPLIT)),
            f"'{SPLIT}' is missing, and the footer says …",
            id="an annotation that is missing",
        ),
        pytest.param(
            layer(annotations=setting(SPLIT, to="1:1:1"), with_split=False),
            f"'{SPLIT}' is '1:1:1', and the footer says nothing",
            id="an annotation of a part that the table has not",
        ),
        pytest.param(
            replace(STORE_LAYER, annotations=chunked(STORE_LAYER.plain)[1]),
            f"'{CHECKSUM}' is about a table, and the blob has none",
            id="annotations of a layer of gzip",
        ),
        pytest.param(
            Layer(tar(*ENTRIES), zstd, "+zstd", layer().annotations),
            f"'{CHECKSUM}' is about a table, and the blob has none",
            id="annotations of a layer that is plain zstd",
        ),
    ],
)
def test_a_table_that_is_not_as_it_must_be(tmp_path: Path, one: Layer, expected: str) -> None:
    root = image(one).write(tmp_path / "image")
    said = [str(each) for each in validate_layout(str(root), 1) if each.code == "chunk-table"]
    pattern = re.escape(f"error: layer 2: {expected} [chunk-table]").replace("…", ".*")
    assert re.fullmatch(pattern, said[0]), said


def test_a_table_that_no_annotation_leads_to_is_a_warning(tmp_path: Path) -> None:
    """As where a tool that does not know them pushed the image again."""
    (only,) = found(tmp_path, layer(annotations=dict.clear))
    assert only == (
        "warning: layer 2: it has a table of its chunks, and no annotation leads there: "
        "nobody uses it [chunk-annotations]"
    )


def test_no_more_than_twenty_findings_are_told_of_a_table(tmp_path: Path) -> None:
    def spoil(table: Json) -> None:
        for each in table["entries"]:
            each["uid"] = 1

    many = layer(tar(*(entry(f"{number:02}", b"x") for number in range(50))), table=spoil)
    assert len(found(tmp_path, many)) == 20


def test_a_blob_that_is_listed_again_without_annotations(tmp_path: Path) -> None:
    """Each descriptor is judged by itself, and the blob is read once."""
    one, other = layer(table=of(0, "uid", 1)), layer(table=of(0, "uid", 1), annotations=dict.clear)
    told = findings(SmallImage([STORE_LAYER, one, other]), tmp_path / "image")
    codes = [(line[:14], line.rpartition("[")[2]) for line in told if "chunk" in line]
    assert codes == [("error: layer 2", "chunk-table]"), ("warning: layer", "chunk-annotations]")]
