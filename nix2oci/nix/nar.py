"""A NAR as it arrives: the entries of a store object, checked against Nix's record on the way.

The words of the format are here, too (Nix manual, "Nix Archive format"; `nix.store` writes them).
The hard part is trust: the stream comes from another machine. Every length is bounded before
anything is read, only the one canonical spelling is taken, as another would be another object, and
nothing counts until the hash at the end is right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing

from nix2oci.errors import RepresentationError, StoreError
from nix2oci.model.closure import PathInfo, format_nar_hash
from nix2oci.model.tree import Directory, Entry, File, Symlink, check_name
from nix2oci.text import display

CHUNK = 1 << 18
"""Bytes of a file in memory at a time."""

PADDING = bytes(8)

_SMALL, _GATHERED = 1 << 12, 1 << 14
"""Pieces of a NAR up to the first size, in bytes, are hashed together, about the second at once."""

_LONGEST_NAME, _LONGEST_PATH = 255, 4095
"""What Linux has for a name and for a path, a link's target included (NAME_MAX, PATH_MAX)."""


def string(value: bytes) -> bytes:
    """With its length in front, padded to 8 bytes: the one construct of the format."""
    return len(value).to_bytes(8, "little") + value + PADDING[: -len(value) % 8]


def strings(*values: bytes) -> bytes:
    """Each value as `string` has it."""
    return b"".join(map(string, values))


MAGIC = strings(b"nix-archive-1")
NODE = strings(b"(", b"type")
DIRECTORY = strings(b"directory")
REGULAR = strings(b"regular")
EXECUTABLE = strings(b"executable", b"")
CONTENTS = strings(b"contents")
SYMLINK = strings(b"symlink", b"target")
ENTRY = strings(b"entry", b"(", b"name")
ENTRY_NODE = strings(b"node")
CLOSE = strings(b")")


class NarHash:
    """The NAR serialisation of what is read, hashed as it comes; small pieces are gathered."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._size = 0

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        if len(data) > _SMALL:
            self.at_once(data)
            return
        self._pending.append(data)
        self._pending_size += len(data)
        if self._pending_size > _GATHERED:
            self.at_once(b"")

    def at_once(self, data: bytes | memoryview) -> None:
        """The same of memory that is used again."""
        gathered = b"".join(self._pending)
        self._hash.update(gathered)
        self._hash.update(data)
        self._size += len(gathered) + len(data)
        self._pending.clear()
        self._pending_size = 0

    def end(self) -> tuple[bytes, int]:
        """SHA-256 and size in bytes of all that came."""
        self.at_once(b"")
        return self._hash.digest(), self._size


def nar_entries(info: PathInfo, stream: Iterator[bytes], source: str) -> Iterator[Entry]:
    """Every entry of one store object out of its NAR: what `store_entries` yields of its files.

    `stream` gives the NAR in pieces of any size and is used up; `source` is named in errors. A
    file's chunks may be left unread. The end is reached only when the hash and the size of what
    came are those of `info`.

    Raises `StoreError` for what is no NAR, is not canonical or not what Nix recorded,
    `RepresentationError` for a name that no layer can carry, and what `stream` raises.
    """
    reader = _Reader(stream, info.nar_size, f"cannot read {info.path} from {source}")
    yield from _object(reader, str(info.path)[1:].encode())
    digest, size = reader.end()
    if (digest, size) != (info.nar_hash, info.nar_size):
        raise StoreError(
            f"cannot use {info.path}: what {source} sends does not match the hash in its record: "
            f"expected {format_nar_hash(info.nar_hash)}, got {format_nar_hash(digest)}",
            hint="that store is damaged; ask Nix with: "
            f"nix store verify --no-trust --store '{source}' {info.path}",
        )


class _Reader:
    """The stream, hashed as it comes, and read in the pieces that the format has."""

    def __init__(self, stream: Iterator[bytes], size: int, action: str) -> None:
        self._stream = stream
        self._action = action
        self._hash = hashlib.sha256()
        self._to_come = size
        self._size = 0
        self._buffer, self._at = b"", 0

    def error(self, what: str = "is not in the form that Nix gives it") -> StoreError:
        """The error to raise for a NAR that is wrong: `what` ends the sentence."""
        return StoreError(f"{self._action}: its NAR {what}")

    def take(self, size: int) -> bytes:
        """So many bytes, which are few."""
        while len(self._buffer) - self._at < size:
            self._more()
        self._at += size
        return self._buffer[self._at - size : self._at]

    def expect(self, words: bytes) -> None:
        if self.take(len(words)) != words:
            raise self.error()

    def word(self, most: int) -> bytes:
        """A string of at most so many bytes."""
        size = int.from_bytes(self.take(8), "little")
        if size > most:
            raise self.error(f"has {size} bytes where at most {most} can be")
        data = self.take(size + -size % 8)
        self._check_padding(data[size:])
        return data[:size]

    def contents_size(self) -> int:
        size = int.from_bytes(self.take(8), "little")
        if size > self._to_come + len(self._buffer) - self._at:
            raise self.error("is longer than its record says")
        return size

    def contents(self, size: int) -> Generator[bytes]:
        left = size
        while left:
            if self._at == len(self._buffer):
                self._more()
            data = self._buffer[self._at : self._at + min(left, CHUNK)]
            self._at += len(data)
            left -= len(data)
            yield data
        self._check_padding(self.take(-size % 8))

    def end(self) -> tuple[bytes, int]:
        """SHA-256 and size of all that came; nothing may be left."""
        if self._at < len(self._buffer) or any(self._stream):
            raise self.error("continues after its end")
        return self._hash.digest(), self._size

    def _more(self) -> None:
        data = next((piece for piece in self._stream if piece), b"")
        if not data:
            raise self.error("ends early")
        self._hash.update(data)
        self._size += len(data)
        self._to_come -= len(data)
        if self._to_come < 0:
            raise self.error("is longer than its record says")
        self._buffer, self._at = self._buffer[self._at :] + data, 0

    def _check_padding(self, data: bytes) -> None:
        if any(data):
            raise self.error("has padding that is not zero")


def _object(reader: _Reader, path: bytes) -> Iterator[Entry]:
    """The entries of a NAR. No recursion: how deep it goes is for the sender to say."""
    reader.expect(MAGIC)
    above: list[tuple[bytes, bytes]] = []
    """The directories that are open, and the name of each one's last entry."""
    while True:
        reader.expect(NODE)
        kind = reader.word(9)
        if kind == b"directory":
            yield Directory(path)
            above.append((path, b""))
        else:
            yield from _leaf(reader, kind, path)
            if above:
                reader.expect(CLOSE)
        while above and (word := reader.word(5)) == b")":
            above.pop()
            if above:
                reader.expect(CLOSE)
        if not above:
            return
        if word != b"entry":
            raise reader.error()
        directory, last = above.pop()
        name = _name(reader, last)
        above.append((directory, name))
        path = directory + b"/" + name
        _check_path(path)


def _name(reader: _Reader, last: bytes) -> bytes:
    """The next name in a directory."""
    reader.expect(strings(b"(", b"name"))
    name = reader.word(_LONGEST_NAME)
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        raise reader.error(f"has a file that is named '{display(name)}'")
    if name <= last:
        raise reader.error(f"has '{display(name)}' after '{display(last)}'")
    reader.expect(ENTRY_NODE)
    return name


def _check_path(path: bytes) -> None:
    check_name(path)
    if len(path) + 1 > _LONGEST_PATH:
        raise RepresentationError(f"cannot put /{display(path)} into a layer: its name is too long")


def _leaf(reader: _Reader, kind: bytes, path: bytes) -> Iterator[Entry]:
    """What is no directory, whole."""
    if kind == b"symlink":
        reader.expect(strings(b"target"))
        target = reader.word(_LONGEST_PATH)
        if not target or b"\0" in target:
            raise reader.error(f"has a link to '{display(target)}'")
        yield Symlink(path, target)
    elif kind == b"regular":
        word = reader.word(10)
        executable = word == b"executable"
        if executable:
            reader.expect(strings(b"") + CONTENTS)
        elif word != b"contents":
            raise reader.error()
        size = reader.contents_size()
        with closing(reader.contents(size)) as chunks:
            held: Iterable[bytes] = tuple(chunks) if size <= CHUNK else chunks
            yield File(path, size, held, 0o555 if executable else 0o444)
            for _ in chunks:  # it counts for the hash all the same
                pass
    else:
        raise reader.error()
    reader.expect(CLOSE)
