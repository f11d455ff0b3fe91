"""What the table of a chunked layer has to say of the tar in it, taken as the tar streams by."""

from __future__ import annotations

import hashlib
import re
import struct
from array import array
from collections.abc import Iterable, Iterator

from msgspec import Struct

from nix2oci.oci.layer.untar import FILE, Member

_STRAY = re.compile("[\udc80-\udcff]")
_MEMBER = struct.Struct(">cHqqqqQ32s")


class MemberFacts(Struct, frozen=True):
    """A member of a tar."""

    kind: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    position: int
    """Where in the tar its content begins."""
    digest: bytes
    """SHA-256 of the content."""
    link: bytes


class TarFacts:
    """Each member of a tar, the content of its files, and all that is none."""

    def __init__(self) -> None:
        self._members: dict[str, bytes] = {}
        self.has_holes = False
        """Whether a file is stored as its pieces: then no position is that of its content."""
        self.sizes, self.checksums, self.raw_positions = array("Q"), array("Q"), array("Q")
        """Of each file that is not empty: CRC-64 (Go's ISO), and what is no content before it."""
        self.names_of_contents = array("q")
        """The hashes of their names."""
        self.raw_size = 0
        self._raw = hashlib.sha256()
        self._chunk = memoryview(b"")
        self._base = self._done = self._skip = 0
        self._member: Member | None = None
        self._position = self._checksum = 0
        self._content = hashlib.sha256()

    def noted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The chunks of the tar, as its reader takes them: each when it has used up the last."""
        for chunk in chunks:
            self._end_of_chunk()
            self._chunk, self._done = memoryview(chunk), 0
            self._take_content()
            yield chunk
        self._end_of_chunk()

    def begin(self, member: Member, position: int) -> None:
        """A member whose content begins at a position, within the last chunk or right behind it."""
        self._end_of_member()
        self._member, self._position, self._checksum = member, position, 0
        self._content = hashlib.sha256()
        self.has_holes |= member.sparse
        self._take_raw(position - self._base)
        self._skip = member.size if member.kind == FILE else 0
        if self._skip:
            self.raw_positions.append(self.raw_size)
        self._take_content()

    def content(self, piece: memoryview) -> None:
        """Some of the content of the member."""
        from fastcrc import crc64  # noqa: PLC0415  # only chunked layers need it

        self._content.update(piece)
        self._checksum = crc64.go_iso(piece, self._checksum)

    def end(self) -> None:
        """The tar was read."""
        self._end_of_member()
        self._end_of_chunk()

    @property
    def members(self) -> int:
        """How many were not taken."""
        return len(self._members)

    @property
    def raw_digest(self) -> bytes:
        """SHA-256 of all that is no content."""
        return self._raw.digest()

    def take(self, name: str) -> MemberFacts | None:
        """The member of a name, which is forgotten with that."""
        found = self._members.pop(name, None)
        if found is None:
            return None
        kind, mode, uid, gid, mtime, size, position, digest = _MEMBER.unpack_from(found)
        link = found[_MEMBER.size :]
        return MemberFacts(kind, mode, uid, gid, mtime, size, position, digest, link)

    @property
    def names(self) -> Iterable[str]:
        """Those of members that were not taken."""
        return self._members

    def _end_of_member(self) -> None:
        member = self._member
        if member is None:
            return
        size = member.size if member.kind == FILE else 0
        if size:
            self.sizes.append(size)
            self.checksums.append(self._checksum)
            self.names_of_contents.append(hash(member.path))
        numbers = member.mode, member.uid, member.gid, member.mtime, size, self._position
        packed = _MEMBER.pack(member.kind, *numbers, self._content.digest())
        self._members[name_of(member.path)] = packed + member.link
        self._member = None

    def _end_of_chunk(self) -> None:
        self._take_raw(len(self._chunk))
        self._base += len(self._chunk)
        self._chunk, self._done = memoryview(b""), 0

    def _take_raw(self, end: int) -> None:
        """What is no content, up to an offset in the chunk."""
        data = self._chunk[self._done : end]
        self._raw.update(data)
        self.raw_size += len(data)
        self._done = max(self._done, end)

    def _take_content(self) -> None:
        size = min(self._skip, len(self._chunk) - self._done)
        self._done += size
        self._skip -= size


def name_of(path: bytes) -> str:
    """A path as text, each byte that is no UTF-8 replaced as Go does it."""
    text = path.decode(errors="surrogateescape")
    return text if text.isascii() else _STRAY.sub("\ufffd", text)
