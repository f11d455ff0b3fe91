"""Reading a layer's tar, strictly.

tarfile is made to get something out of every archive; this reader is made to notice what is wrong
with one. It reads ustar, PAX records and GNU's long names (image-spec layer.md allows the tar of
POSIX), takes names as bytes, and leaves every judgement but "this is no tar" to its caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

_BLOCK = 512
_ZERO = bytes(_BLOCK)
_MAX_EXTENDED = 1 << 20
"""Bytes of PAX records and long names of one member that are believed."""

_REPEATED = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
"""How PAX 0.0 says what 0.1 has in one record."""

MAX_NAME = 4096
"""Bytes of a name or target: a longer path no kernel takes (PATH_MAX)."""

_MAX_NUMBER = 2**63 - 1
"""More bytes than this no file has, and no user such a number."""

FILE, HARDLINK, SYMLINK, DIRECTORY = b"0", b"1", b"2", b"5"
CHARACTER_DEVICE, BLOCK_DEVICE, FIFO = b"3", b"4", b"6"

XATTR = b"SCHILY.xattr."
"""How PAX records of extended attributes begin, for every tool that engines use."""


_TIME = re.compile(rb"(-?[0-9]{1,18})(\.[0-9]*)?")


class TarError(Exception):
    """The data is no complete tar; says why, as the end of a sentence."""


class EndMarkError(TarError):
    """All is there but zeros that belong to the end. Engines read such a tar."""


class Member(Struct, frozen=True):
    """One entry, as its headers describe it; `kind` is the type flag, every file has `0`."""

    name: bytes
    kind: bytes
    mode: int
    size: int
    link: bytes
    sparse: bool = False
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    device: tuple[int, int] = (0, 0)
    """Major and minor number."""
    extended: Mapping[bytes, bytes] = field(default_factory=dict)
    """PAX records of extended attributes, and `mtime` where it is no plain number."""

    @property
    def path(self) -> bytes:
        """The normal form of the name; empty for the root."""
        return normal(self.name)


def normal(name: bytes) -> bytes:
    """A name without `./`, doubled and trailing slashes."""
    return b"/".join(part for part in name.split(b"/") if part not in (b"", b"."))


class TarReader:
    """A tar as it streams by. Iterate over the members; `content` gives the bytes of the last.

    Raises `TarError`, also at the end when something follows the two zero blocks, and
    `EndMarkError` when they, or zeros before them, are missing. What the iterator of chunks raises
    comes through.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._data = memoryview(b"")
        self._taken = 0
        self._left = 0
        """Bytes of the last member's content that were not read yet."""
        self._expanded: Iterator[memoryview] | None = None
        """The last member's content, where that is not what is stored."""
        self._lacks = ""
        """What of the end mark is missing, in words."""

    def __iter__(self) -> Iterator[Member]:
        extended: dict[bytes, bytes] = {}
        total = 0
        while (header := self._header()) is not None:
            member = _member(header)
            if member.kind in b"xgLK":
                total += member.size
                if total > _MAX_EXTENDED:
                    raise TarError(f"an extended header has {total} bytes")
                extended |= self._extended(member)
                continue
            total = 0
            plain, records, extended = _extend(member, extended), extended, {}
            self._left = plain.size
            yield self._sparse(plain, records, header) if plain.sparse else plain
            self._expanded = None
            for _ in self.content():
                pass
            self._skip_padding(-plain.size % _BLOCK)
        if extended:
            raise TarError("it ends after an extended header")
        if self._lacks:
            raise EndMarkError(self._lacks)

    @property
    def position(self) -> int:
        """How many bytes of the tar were read."""
        return self._taken - len(self._data)

    def content(self) -> Iterator[memoryview]:
        """What was not read yet of the last member's content, in pieces."""
        return self._expanded or self._stored()

    def _stored(self) -> Iterator[memoryview]:
        while self._left:
            data = self._some()
            if not data:
                raise TarError("it ends within a file")
            piece, self._data = data[: self._left], data[self._left :]
            self._left -= len(piece)
            yield piece

    def _some(self) -> memoryview:
        """Bytes that are at hand, the next chunk if there are none; empty at the end."""
        while not self._data:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._data = memoryview(chunk)
            self._taken += len(chunk)
        return self._data

    def _exactly(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size and (data := self._some()):
            wanted = size - len(found)
            found += data[:wanted]
            self._data = data[wanted:]
        if len(found) < size:
            raise TarError("it ends within an entry")
        return bytes(found)

    def _skip_padding(self, size: int) -> None:
        """What fills the last block of a file: umoci 0.4 leaves it out at the end of a layer."""
        while size and (data := self._some()):
            skipped = min(size, len(data))
            self._data = data[skipped:]
            size -= skipped
        if size:
            self._lacks = "it ends before the padding of its last file"

    def _header(self) -> bytes | None:
        """The next header block, None at the end mark: two zero blocks (POSIX pax)."""
        if not self._some():
            self._lacks = self._lacks or "it has no end mark"
            return None
        header = self._exactly(_BLOCK)
        if header != _ZERO:
            return header
        if not self._some():
            self._lacks = "it has half an end mark"
            return None
        if self._exactly(_BLOCK) != _ZERO:
            raise TarError("its end mark is one zero block instead of two")
        while data := self._some():
            if data.tobytes().strip(b"\0"):
                raise TarError("there is data after its end mark")
            self._data = memoryview(b"")
        return None

    def _extended(self, member: Member) -> dict[bytes, bytes]:
        """What the content of an extended header says of the next member."""
        data = self._exactly(member.size)
        self._exactly(-member.size % _BLOCK)
        if member.kind in b"xg":
            records = _records(data)
            return records if member.kind == b"x" else {}
        return {b"path" if member.kind == b"L" else b"linkpath": data.rstrip(b"\0")}

    def _sparse(self, member: Member, records: Mapping[bytes, bytes], header: bytes) -> Member:
        """A file with holes as it is without its map, which is read here."""
        from nix2oci.oci.layer import sparse  # noqa: PLC0415  # seldom met

        try:
            if member.kind == b"S":
                pieces, size = sparse.of_header(header, self._exactly, _number)
            elif found := sparse.of_records(records, self._exactly):
                pieces, size, length = found
                self._left -= length
            else:
                return member
            sparse.check(pieces, size, self._left)
        except sparse.SparseError as err:
            raise TarError(str(err)) from err
        self._expanded = sparse.expanded(self._stored(), pieces, size)
        name = records.get(b"GNU.sparse.name", member.name)
        return replace(member, name=name, kind=FILE, size=size)


def _member(header: bytes) -> Member:
    unsigned = sum(header) - sum(header[148:156]) + 8 * 0x20
    if _number(header[148:156]) != unsigned:
        raise TarError("the checksum of a header is wrong")
    name, kind = _text(header[:100]), header[156:157]
    if header[257:263] == b"ustar\0" and header[345]:
        name = _text(header[345:500]) + b"/" + name
    if kind in b"\x007":
        kind = DIRECTORY if name.endswith(b"/") else FILE
    size = 0 if kind in b"123456" else _number(header[124:136])
    link = _text(header[157:257])
    mode, uid, gid = (_number(header[start : start + 8]) for start in (100, 108, 116))
    device = _device(header) if kind in b"34" else (0, 0)
    mtime = _time(header[136:148])
    return Member(name, kind, mode & 0o7777, size, link, kind == b"S", uid, gid, mtime, device)


def _extend(member: Member, extended: dict[bytes, bytes]) -> Member:
    if not extended:
        return member
    if any(len(extended.get(key, b"")) > MAX_NAME for key in (b"path", b"linkpath")):
        raise TarError(f"a name has more than {MAX_NAME} bytes")
    size = member.size
    if b"size" in extended and member.kind not in b"123456":
        size = _decimal(extended[b"size"])
    return replace(
        member,
        name=extended.get(b"path", member.name),
        link=extended.get(b"linkpath", member.link),
        size=size,
        sparse=member.sparse or any(key.startswith(b"GNU.sparse.") for key in extended),
        uid=_decimal(extended[b"uid"], "a user") if b"uid" in extended else member.uid,
        gid=_decimal(extended[b"gid"], "a group") if b"gid" in extended else member.gid,
        mtime=_whole_seconds(extended.get(b"mtime"), member.mtime),
        extended={key: value for key, value in extended.items() if _is_kept(key, value)},
    )


def _is_kept(key: bytes, value: bytes) -> bool:
    return key.startswith(XATTR) or (key == b"mtime" and bool(_TIME.fullmatch(value)))


def _whole_seconds(record: bytes | None, otherwise: int) -> int:
    """The seconds of a PAX time, rounded down; what is none counts as if it were not there."""
    found = _TIME.fullmatch(record or b"")
    if not found:
        return otherwise
    return int(found[1]) - (found[1].startswith(b"-") and bool((found[2] or b"").strip(b".0")))


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    """Octal digits, or GNU's base 256 where the first bit is set."""
    if field[0] & 0x80:
        number = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        if number > _MAX_NUMBER:
            raise TarError(f"a header has {number} for a number")
        return number
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):  # `int` takes signs, and more
        raise TarError(f"a header has {digits!r} for a number")
    return int(digits or b"0", 8)


def _device(header: bytes) -> tuple[int, int]:
    return _number(header[329:337]), _number(header[337:345])


def _time(field: bytes) -> int:
    """Seconds, also before 1970 (GNU, base 256); 0 for what is no number: others take it, too."""
    if field[0] in (0x80, 0xFF):
        found = int.from_bytes(field[1:], "big", signed=field[0] == 0xFF)
        return found if abs(found) <= _MAX_NUMBER else 0
    digits = field.strip(b" \0")
    return 0 if digits.strip(b"01234567") else int(digits or b"0", 8)


def _decimal(digits: bytes, what: str = "a size") -> int:
    if not digits.isdigit() or len(digits) > 20 or int(digits) > _MAX_NUMBER:
        raise TarError(f"an extended header has {digits[:40]!r} for {what}")
    return int(digits)


def _records(data: bytes) -> dict[bytes, bytes]:
    """PAX records: `<length> <key>=<value>` and a newline, where the length counts itself."""
    found: dict[bytes, bytes] = {}
    repeated: list[bytes] = []
    start = 0
    while start < len(data):
        length, space, _ = data[start : start + 12].partition(b" ")
        end = start + (int(length) if space and length.isdigit() else 0)
        key, equals, value = data[start + len(length) + 1 : end].partition(b"=")
        if not equals or end > len(data) or not value.endswith(b"\n"):
            raise TarError("an extended header is damaged")
        if key in _REPEATED:
            repeated.append(value[:-1])
        found[key] = value[:-1]
        start = end
    return {**found, b"GNU.sparse.map": b",".join(repeated)} if repeated else found
