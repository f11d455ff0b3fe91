"""Entries as the bytes of a tar file: the same entries, the same bytes, on every machine.

POSIX ustar (IEEE 1003.1, pax interchange format), written by hand since every library decides
some bytes by itself. Names are bytes; a PAX record comes only where a value does not fit its
field or a name is not ASCII, as Go's archive/tar and Python's tarfile do it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import cycle
from zlib import adler32

from nix2oci.errors import RepresentationError
from nix2oci.model.tree import ROOT, Content, Directory, Entry, File, HardLink, Symlink, Whiteout
from nix2oci.oci.layer.untar import FILE, HARDLINK, Member
from nix2oci.text import display

BLOCK = 1 << 20
"""Bytes of tar that are handled, and compressed, as one piece. Part of what decides bytes."""

FORMAT = 1
"""Goes up with every change of the bytes that a layer's store paths become, here, in `nix.store`
or in the compression: a layer that was kept under another number is made again."""

END = bytes(1024)
_ZEROS = bytes(512)
_MTIME = b"00000000001\0"
_MAGIC_AND_NO_NAMES = b"ustar\x0000" + bytes(64)
_NO_DEVICE = b"0000000\x000000000\0"


def tar_blocks(entries: Iterable[Entry], reuse: int = 0) -> Iterator[memoryview]:
    """The tar of entries, in their order, as blocks of `BLOCK` bytes; the last may be shorter.

    mtime is 1, owners have no names, and there is no padding after the two zero records at the end.
    With `reuse` a block is good until as many more were asked for: its memory is used again.
    Raises `RepresentationError` for what tar cannot hold, such as a NUL in a name.
    """
    memory = cycle([_new_block() for _ in range(reuse)]) if reuse else iter(_new_block, None)
    block, at = next(memory), 0
    for size, piece in _pieces(entries):
        end = at + size
        if end < BLOCK and isinstance(piece, bytes):
            block[at:end] = piece
            at = end
            continue
        left = size
        while at + left >= BLOCK:
            _fill(block[at:], piece, size - left)
            left -= BLOCK - at
            yield block
            block, at = next(memory), 0
        _fill(block[at : at + left], piece, size - left)
        at += left
    if at:
        yield block[:at]


def _new_block() -> memoryview:
    return memoryview(bytearray(BLOCK))


def _fill(memory: memoryview, piece: bytes | Content, start: int) -> None:
    """Fill it with a piece from there on; a content goes on where it was."""
    if isinstance(piece, Content):
        piece.read_into(memory)
    else:
        memory[:] = memoryview(piece)[start : start + len(memory)]


def _pieces(entries: Iterable[Entry]) -> Iterator[tuple[int, bytes | Content]]:
    """Sizes with as many bytes."""
    gap = b""
    for entry in entries:
        header = gap + entry_header(entry)
        yield len(header), header
        gap = b""
        if isinstance(entry, File):
            if isinstance(entry.chunks, Content):
                yield entry.size, entry.chunks
            else:
                for chunk in entry.chunks:
                    yield len(chunk), chunk
            gap = padding(entry.size)
    yield len(gap + END), gap + END


def entry_header(entry: Entry) -> bytes:
    """What a tar has in front of the content of an entry; `RepresentationError` as `tar_blocks`."""
    match entry:
        case File():
            uid, gid, size = entry.uid, entry.gid, entry.size
            return _records(entry.path, b"0", entry.mode, uid=uid, gid=gid, size=size)
        case Directory(path, mode, uid, gid):
            name = b"./" if path == ROOT else path + b"/"
            return _records(name, b"5", mode, uid=uid, gid=gid)
        case Symlink(path, target):
            return _records(path, b"2", 0o777, link=target)
        case HardLink(path, target, mode):
            return _records(path, HARDLINK, mode, link=target)
        case Whiteout(path):
            return _records(path, b"0", 0o444)


def member_header(member: Member, name: bytes, link: bytes | None = None) -> bytes:
    """The header of what was read of a tar, under another name and without names of owners.

    Behind that of a file comes its content. With `link` it is a hard link to that path, of which
    nothing comes. Raises `RepresentationError` for what tar cannot hold.
    """
    is_link = link is not None
    return _records(
        name,
        HARDLINK if is_link else member.kind,
        member.mode,
        uid=member.uid,
        gid=member.gid,
        size=member.size if member.kind == FILE and not is_link else 0,
        link=member.link if link is None else link,
        mtime=member.mtime,
        device=member.device,
        more=member.extended,
    )


def padding(size: int) -> bytes:
    """What comes behind a content of so many bytes."""
    return _ZEROS[: -size % 512]


def _records(
    name: bytes,
    kind: bytes,
    mode: int,
    *,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    link: bytes = b"",
    mtime: int = 1,
    device: tuple[int, int] = (0, 0),
    more: Mapping[bytes, bytes] = {},
) -> bytes:
    """The header of one entry, behind a PAX header where it needs one."""
    if b"\0" in name or b"\0" in link:
        raise RepresentationError(f"cannot put {display(name)} into a tar: NUL in a name")
    extended = dict(more)
    prefix, short = _split(name)
    if short is None or not name.isascii():
        extended[b"path"] = name
        prefix, short = b"", name[:100]
    if len(link) > 100 or not link.isascii():
        extended[b"linkpath"] = link
    if uid >= 8**7:
        extended[b"uid"], uid = b"%d" % uid, 0
    if gid >= 8**7:
        extended[b"gid"], gid = b"%d" % gid, 0
    if size >= 8**11:
        extended[b"size"], size = b"%d" % size, 0
    if not 0 <= mtime < 8**11:
        extended.setdefault(b"mtime", b"%d" % mtime)
        mtime = 0
    fields = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, uid, gid, size, mtime)
    header = _ustar(short, prefix, fields, kind, link[:100], device=device)
    return _pax(extended) + header if extended else header


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """The ustar prefix and name of a path; no name where no slash is in the right place."""
    if len(name) <= 100:
        return b"", name
    cut = name.find(b"/", len(name) - 101, len(name) - 1)
    return (name[:cut], name[cut + 1 :]) if 0 < cut <= 155 else (b"", None)


def _octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def _ustar(
    name: bytes,
    prefix: bytes,
    numbers: bytes,
    kind: bytes,
    link: bytes,
    *,
    device: tuple[int, int] = (0, 0),
) -> bytes:
    """One 512-byte header; `numbers` is mode, uid, gid, size and mtime."""
    devices = b"".join(_octal(number, 8) for number in device) if any(device) else _NO_DEVICE
    before = name.ljust(100, b"\0") + numbers
    after = kind + link.ljust(100, b"\0") + _MAGIC_AND_NO_NAMES + devices
    checksum = _sum(before) + _sum(after) + _sum(prefix) + 8 * 0x20
    return before + b"%06o\0 " % checksum + after + prefix.ljust(167, b"\0")


def _sum(data: bytes) -> int:
    """Of up to 256 bytes: Adler-32 begins with one and adds modulo 65521 (RFC 1950, 8.2)."""
    return (adler32(data) & 0xFFFF) - 1


def _pax(values: dict[bytes, bytes]) -> bytes:
    """An extended header: `<length> <key>=<value>` lines, keys sorted, hdrcharset first."""
    lines = [_pax_line(key, values[key]) for key in sorted(values)]
    if not all(_is_utf8(values.get(key, b"")) for key in (b"path", b"linkpath")):
        lines.insert(0, _pax_line(b"hdrcharset", b"BINARY"))
    data = b"".join(lines)
    numbers = _octal(0o644, 8) + _octal(0, 8) + _octal(0, 8) + _octal(len(data), 12) + _MTIME
    return _ustar(b"PaxHeader", b"", numbers, b"x", b"") + data + _ZEROS[: -len(data) % 512]


def _pax_line(key: bytes, value: bytes) -> bytes:
    """The length counts itself: grow it until it does."""
    rest = b" " + key + b"=" + value + b"\n"
    size = len(rest)
    while len(b"%d" % size) + len(rest) != size:
        size = len(b"%d" % size) + len(rest)
    return b"%d" % size + rest


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
