"""Entries as the bytes of a tar file: the same entries, the same bytes, on every machine.

POSIX ustar (IEEE 1003.1, pax interchange format), written by hand since every library decides
some bytes by itself. Names are bytes; a PAX record comes only where a value does not fit its
field or a name is not ASCII, as Go's archive/tar and Python's tarfile do it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from nix2oci.errors import RepresentationError
from nix2oci.model.tree import ROOT, Directory, Entry, File, HardLink, Symlink, Whiteout
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


def tar_blocks(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The tar of entries, in their order, as blocks of `BLOCK` bytes; the last may be shorter.

    mtime is 1, owners have no names, and there is no padding after the two zero records at the end.
    Raises `RepresentationError` for what tar cannot hold, such as a NUL in a name.
    """
    pieces: list[bytes | memoryview] = []
    size = 0
    for piece in _pieces(entries):
        pieces.append(piece)
        size += len(piece)
        while size >= BLOCK:
            size -= BLOCK
            last = memoryview(pieces.pop())
            pieces.append(last[: len(last) - size])
            yield b"".join(pieces)
            pieces = [last[len(last) - size :]]
    if size:
        yield b"".join(pieces)


def _pieces(entries: Iterable[Entry]) -> Iterator[bytes]:
    for entry in entries:
        yield _header(entry)
        if isinstance(entry, File):
            yield from entry.chunks
            if entry.size % 512:
                yield _ZEROS[: -entry.size % 512]
    yield END


def _header(entry: Entry) -> bytes:
    match entry:
        case Directory(path, mode, uid, gid):
            name = b"./" if path == ROOT else path + b"/"
            return _records(name, b"5", mode, uid=uid, gid=gid)
        case File(path, size, _, mode, uid, gid):
            return _records(path, b"0", mode, uid=uid, gid=gid, size=size)
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
    numbers = {b"uid": (uid, 8), b"gid": (gid, 8), b"size": (size, 12)}
    for key, (value, width) in numbers.items():
        if value >= 8 ** (width - 1):
            extended[key] = b"%d" % value
            numbers[key] = (0, width)
    fields = b"".join(_octal(value, width) for value, width in numbers.values())
    if not 0 <= mtime < 8**11:
        extended.setdefault(b"mtime", b"%d" % mtime)
        mtime = 0
    fields = _octal(mode, 8) + fields + _octal(mtime, 12)
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
    after += prefix.ljust(167, b"\0")
    checksum = sum(before) + sum(after) + 8 * 0x20
    return before + b"%06o\0 " % checksum + after


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
