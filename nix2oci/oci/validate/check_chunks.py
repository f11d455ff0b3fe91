"""Whether the table of a zstd:chunked layer says of the layer what is in it.

The hard part is that two kinds of clients get an image from one blob: those that read the tar, and
those that put files together from the parts that the table names. Where table and tar differ, they
have different files.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from itertools import islice

from msgspec import Struct

from nix2oci.oci.layer.compression import TABLE_ANNOTATIONS
from nix2oci.oci.layer.untar import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    HARDLINK,
    SYMLINK,
    normal,
)
from nix2oci.oci.validate.chunk_table import (
    MOST,
    ChunkTable,
    Entry,
    Part,
    TableError,
    entries,
    has_footer,
    split_lines,
    table_of,
)
from nix2oci.oci.validate.finding import Finding
from nix2oci.oci.validate.frames import Frames
from nix2oci.oci.validate.tar_facts import MemberFacts, TarFacts, name_of
from nix2oci.text import printable

_TYPES = {
    "reg": FILE,
    "hardlink": HARDLINK,
    "symlink": SYMLINK,
    "dir": DIRECTORY,
    "char": CHARACTER_DEVICE,
    "block": BLOCK_DEVICE,
    "fifo": FIFO,
}
_TOLD = 20
"""Findings about one table: what is wrong with the first files is wrong with all."""
_SLACK, _LINE = 1 << 20, 4096
"""Bytes of JSON that a table has at most, as a whole and for each member and frame."""
_SHOWN = 100
"""Characters of an annotation."""


class TableRead(Struct, frozen=True):
    """What was found at the end of a blob."""

    annotations: Mapping[str, str]
    """What leads to the table that is there; empty where there is none."""
    findings: tuple[Finding, ...] = ()
    """What is wrong with it."""


def read_table(frames: Frames, facts: TarFacts | None) -> TableRead | None:
    """The table of a blob, held against the tar where its facts are known; None without a table."""
    if not has_footer(frames):
        return None
    try:
        table = table_of(frames)
    except TableError as err:
        return TableRead({}, (_finding("", str(err)),))
    found = islice(_problems(table, frames, facts), _TOLD) if facts else ()
    return TableRead(table.annotations, tuple(found))


def check_table(annotations: Mapping[str, str], table: TableRead | None) -> Iterator[Finding]:
    """What is wrong with a table, and with what a descriptor says of it."""
    said = {key: annotations[key] for key in TABLE_ANNOTATIONS if key in annotations}
    if table is None:
        if said:
            yield _finding("", f"'{next(iter(said))}' is about a table, and the blob has none")
        return
    if not said:
        message = "it has a table of its chunks, and no annotation leads there: nobody uses it"
        yield Finding("chunk-annotations", "", message)
        return
    yield from table.findings
    for key in TABLE_ANNOTATIONS if table.annotations else ():
        was, now = said.get(key), table.annotations.get(key)
        if was != now:
            told = "missing" if was is None else f"'{_cut(was)}'"
            yield _finding("", f"'{key}' is {told}, and the footer says {now or 'nothing'}")


def leads_to_table(annotations: Mapping[str, str]) -> bool:
    """Whether a descriptor says that its layer has one."""
    return any(key in annotations for key in TABLE_ANNOTATIONS)


def _problems(table: ChunkTable, frames: Frames, facts: TarFacts) -> Iterator[Finding]:
    if facts.has_holes:
        yield _finding("", "it has a file with holes, which no table can be held against")
        return
    try:
        lines = facts.members + len(frames.starts)
        most = _SLACK + _LINE * lines
        yield from _Files(frames, facts).check(entries(table, min(most, MOST)))
        if table.split:
            yield from _check_split(table.split, facts, most + 2 * facts.raw_size)
    except TableError as err:
        yield _finding("", str(err))


class _Files:
    """The entries of a table, one after the other, each chunk against the frame that it names."""

    def __init__(self, frames: Frames, facts: TarFacts) -> None:
        self._frames, self._facts = frames, facts
        self._file: Entry | None = None
        """The file whose chunks come, unless something was found wrong with it."""
        self._position = 0
        """Where in the tar its content begins."""
        self._chunk: Entry | None = None
        """Its last chunk so far."""

    def check(self, found: Iterator[Entry]) -> Iterator[Finding]:
        for entry in found:
            if entry.type != "chunk":
                yield from self._wrong(self._end_of_file())
                yield from self._wrong(self._begin(entry), entry)
            elif self._file is not None:
                yield from self._wrong(self._next_chunk(entry))
        yield from self._wrong(self._end_of_file())
        names = list(self._facts.names)
        for name in names[:1]:
            more = f", and {len(names) - 1} more" if len(names) > 1 else ""
            yield _finding(name, f"it is not in the table{more}")
        if self._frames.too_many:
            yield _finding("", "it has too many frames to be checked")

    def _wrong(self, message: str, entry: Entry | None = None) -> Iterator[Finding]:
        about = entry or self._file
        if message and about:
            yield _finding(_name(about), message)
            self._file = None

    def _begin(self, entry: Entry) -> str:
        """What is wrong with the entry of a member."""
        self._file = self._chunk = None
        member = self._facts.take(_name(entry))
        if member is None:
            return "the table has it, and the layer has not, or the table has it twice"
        if differing := _differing(entry, member):
            return f"the table has it with another {differing}"
        if member.kind == FILE and member.size:
            self._file = self._chunk = entry
            self._position = member.position
        return ""

    def _next_chunk(self, entry: Entry) -> str:
        """What is wrong with the last chunk, now that the next one says where it ends."""
        if self._file is None or self._chunk is None or _name(entry) != _name(self._file):
            return "a chunk of another file comes after it"
        if entry.chunk_offset <= self._chunk.chunk_offset:
            return f"its chunk at {entry.chunk_offset} is not behind the one before"
        found = self._check_chunk(self._chunk, entry.offset, entry.chunk_offset)
        self._chunk = entry
        return found

    def _end_of_file(self) -> str:
        if self._file is None or self._chunk is None:
            return ""
        return self._check_chunk(self._chunk, self._file.end_offset, self._file.size)

    def _check_chunk(self, chunk: Entry, end: int, until: int) -> str:
        """A chunk that ends before the offset `end`, and is the content before `until`."""
        frames, where = self._frames, f"its chunk at {chunk.chunk_offset}"
        number = frames.index(chunk.offset)
        if number is None:
            return f"{where} is said to be at {chunk.offset}, where no frame begins"
        if frames.ends[number] != end:
            return f"{where} is said to end at {end}, its frame does at {frames.ends[number]}"
        start = frames.plain_starts[number]
        size = frames.plain_ends[number] - start
        if start != self._position + chunk.chunk_offset or size != until - chunk.chunk_offset:
            return f"the frame at {chunk.offset} has another part of the layer than {where}"
        may_be_left_out = [0] if self._file and until == self._file.size else []
        if chunk.chunk_size not in (size, *may_be_left_out):
            return f"{where} has {size} bytes, the table says {chunk.chunk_size}"
        digest = "sha256:" + frames.digest(number).hex()
        is_whole = self._file is not None and size == self._file.size
        if chunk.chunk_digest != digest and (chunk.chunk_digest or not is_whole):
            return f"{where} has digest {digest}, the table says {_cut(chunk.chunk_digest)}"
        return ""


def _differing(entry: Entry, member: MemberFacts) -> str:
    """The first thing in which an entry is not what the layer has; empty where it is."""
    digest = f"sha256:{member.digest.hex()}" if member.size else ""
    has_link = member.kind in (HARDLINK, SYMLINK)
    pairs = {
        "type": (_TYPES.get(entry.type), member.kind),
        "mode": (entry.mode & 0o7777, member.mode),
        "owner": (entry.uid, member.uid),
        "group": (entry.gid, member.gid),
        "size": (entry.size if member.kind == FILE else 0, member.size),
        "target": (entry.link_name, name_of(member.link)) if has_link else ("", ""),
        "digest": (entry.digest, digest) if member.size else ("", ""),
        "time": (math.floor(entry.modtime.timestamp()) if entry.modtime else 0, member.mtime),
    }
    return next((what for what, (was, now) in pairs.items() if was != now), "")


def _check_split(part: Part, facts: TarFacts, most: int) -> Iterator[Finding]:
    """Whether the tar-split, with the contents of files, gives the tar again."""
    raw, size, number = hashlib.sha256(), 0, 0
    for name, file_size, payload in split_lines(part, most):
        if not file_size:
            raw.update(payload)
            size += len(payload)
            continue
        said = hash(normal(name)), size, file_size, payload
        if number == len(facts.sizes) or said != _content(facts, number):
            yield _finding("", f"file {number + 1} of its tar-split is not that of the layer")
            return
        number += 1
    if (raw.digest(), size, number) != (facts.raw_digest, facts.raw_size, len(facts.sizes)):
        yield _finding("", "its tar-split gives another tar than the layer has")


def _content(facts: TarFacts, number: int) -> tuple[int, int, int, bytes]:
    where = facts.names_of_contents[number], facts.raw_positions[number]
    return *where, facts.sizes[number], facts.checksums[number].to_bytes(8, "big")


def _name(entry: Entry) -> str:
    name = entry.name
    if name.startswith("/") or name.endswith("/") or "./" in name or "//" in name or name == ".":
        return normal(name.encode(errors="surrogatepass")).decode(errors="replace")
    return name


def _cut(text: str) -> str:
    return printable(text[:_SHOWN])


def _finding(name: str, message: str) -> Finding:
    about = f": /{printable(name)}" if name else ""
    return Finding("chunk-table", about, message)
