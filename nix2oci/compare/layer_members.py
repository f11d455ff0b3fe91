"""What is in two layers that should be one: the first file that differs, and in what."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from nix2oci.model.closure import STORE_DIR, store_path_of
from nix2oci.model.tree import Directory, Entry, File, Symlink, sort_key
from nix2oci.oci.layer.stream import LayerStream
from nix2oci.oci.layer.unpack import UnpackError
from nix2oci.oci.layer.untar import DIRECTORY, FILE, SYMLINK, EndMarkError, TarError, normal
from nix2oci.oci.layout.source import ImageSource
from nix2oci.oci.spec import Descriptor, Digest
from nix2oci.text import display

_KINDS = {FILE: "a file", DIRECTORY: "a directory", SYMLINK: "a link"}


class Facts(Struct, frozen=True):
    """One entry; times and names of owners are alike in every layer of ours."""

    kind: bytes
    mode: int = 0
    owner: tuple[int, int] = (0, 0)
    link: bytes = b""
    content: str = ""
    """SHA-256, in hex."""
    mtime: int = 1


MOVED = "is in another layer when rebuilt"

Members = Mapping[bytes, Facts]
"""By path, in the order of the layer."""


class FoundLayer(Struct, frozen=True):
    """A layer of an image, read to its end or to where it is damaged."""

    digest: Digest
    """Of the blob as it is, which need not be what its descriptor says."""
    members: Members
    broken_at: bytes | None = None
    """The last path that was read, where the rest cannot be."""


class Place(Struct, frozen=True):
    """Where two layers differ first."""

    path: str
    """Absolute; `""` where no file differs."""
    what: str
    """The end of a sentence about it."""
    is_alone: bool = False
    """Whether one of the layers has nothing there."""

    @property
    def store_path(self) -> str:
        """The store path that it is in; `""` outside."""
        return str(store_path_of(self.path, STORE_DIR) or "")


def blob_digest(source: ImageSource, layer: Descriptor) -> Digest:
    """The digest of what is stored as a layer; raises `OutputError` where there is nothing."""
    with source.blobs.open(layer.digest) as blob:
        return LayerStream(blob, layer.size).packed.digest()


def read_members(source: ImageSource, layer: Descriptor) -> FoundLayer:
    """What a layer has, as far as it can be read; raises `OutputError`."""
    found: dict[bytes, Facts] = {}
    at = b""
    with source.blobs.open(layer.digest) as blob:
        stream = LayerStream(blob, layer.size)
        try:
            for member, reader in stream.members():
                at = member.path
                content = _hashed(reader.content()) if member.kind == FILE else ""
                owner = (member.uid, member.gid)
                found[at] = Facts(
                    *(member.kind, member.mode, owner, member.link, content), mtime=member.mtime
                )
        except EndMarkError:
            pass  # engines read such a tar
        except (TarError, UnpackError):
            return FoundLayer(stream.packed.digest(), found, at)
        return FoundLayer(stream.packed.digest(), found)


def entry_members(entries: Iterable[Entry]) -> Members:
    """What a layer that is made of entries has; raises what reading them raises."""
    return {normal(path): facts for path, facts in _of_entries(entries)}


def _of_entries(entries: Iterable[Entry]) -> Iterator[tuple[bytes, Facts]]:
    for entry in entries:
        if isinstance(entry, File):
            content = _hashed(entry.chunks)
            yield entry.path, Facts(FILE, entry.mode, (entry.uid, entry.gid), b"", content)
        elif isinstance(entry, Symlink):
            yield entry.path, Facts(SYMLINK, 0o777, link=entry.target)
        elif isinstance(entry, Directory):
            yield entry.path, Facts(DIRECTORY, entry.mode, (entry.uid, entry.gid))
        else:
            yield entry.path, Facts(FILE, 0o444, content=_hashed(()))


def _hashed(chunks: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def first_difference(found: FoundLayer, made: Members) -> Place | None:
    """Where a layer of the image differs first from what was made again; None where nowhere."""
    for path in sorted({*found.members, *made}, key=sort_key):
        was, now = found.members.get(path), made.get(path)
        if was is None and found.broken_at is not None:
            return _place(found.broken_at, "is where the layer is damaged")
        if was is None or now is None:
            where = "image" if now is None else "rebuilt image"
            return Place("/" + display(path), f"is in the {where} alone", is_alone=True)
        if was != now:
            return _place(path, _differs(was, now))
    return _place(found.broken_at, "is where the layer is damaged") if found.broken_at else None


def _place(path: bytes, what: str) -> Place:
    return Place("/" + display(path), what)


def _differs(was: Facts, now: Facts) -> str:
    if was.kind != now.kind:
        kinds = (_KINDS.get(each.kind, "something else") for each in (was, now))
        return "is {} in the image, and {} when rebuilt".format(*kinds)
    if was.link != now.link:
        return f"leads to {display(was.link)} in the image, and to {display(now.link)} when rebuilt"
    if was.content != now.content:
        return "has other bytes"
    if was.mode != now.mode:
        return f"has mode {was.mode:04o} in the image, and {now.mode:04o} when rebuilt"
    if was.owner != now.owner:
        return "is of {}:{} in the image, and of {}:{} when rebuilt".format(*was.owner, *now.owner)
    return "has another time"
