"""The archive form of an image: one tar that is an OCI layout and a `docker load` archive.

The hard part is that two families of readers look at the same bytes. Those that know the image
layout read `oci-layout`, `index.json` and `blobs/`; Docker's classic store reads `manifest.json`,
whose paths point at the same blobs (what `docker save` writes since version 25).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from io import FileIO
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from nix2oci.errors import LayoutError
from nix2oci.host.regular_files import open_file
from nix2oci.model.tree import Directory, Entry, File
from nix2oci.oci.fields import Json
from nix2oci.oci.file_type import HEAD, file_kind
from nix2oci.oci.layer.tar import tar_blocks
from nix2oci.oci.spec import BLOBS, Digest

_CHUNK = 1 << 20


class Sink(Protocol):
    """What bytes can be written to, all of them at once; it need not be seekable."""

    def write(self, data: bytes | memoryview, /) -> int: ...


class Readable(Protocol):
    """A stream of bytes that is to be closed, best in a `with` block."""

    def read(self, size: int = -1, /) -> bytes: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class Seekable(Protocol):
    """Of which a part can be read."""

    def seek(self, offset: int, /) -> int: ...
    def read(self, size: int = -1, /) -> bytes: ...
    def close(self) -> None: ...


class Files(Protocol):
    """The files of a layout or archive by name, relative to its root."""

    def size(self, name: str) -> int | None: ...
    def open(self, name: str) -> Readable: ...


def chunks(file: Readable, most: int | None = None) -> Iterator[bytes]:
    """All that is left of a stream, a piece at a time; where `most` is given, so many bytes."""
    while chunk := file.read(_CHUNK if most is None else min(_CHUNK, most)):
        if most is not None:
            most -= len(chunk)
        yield chunk


def blob_name(digest: Digest) -> str:
    """Where a blob lies, relative to the root of a layout or archive (image-layout.md, Blobs)."""
    return f"{BLOBS}/{digest.hex}"


def docker_manifest(names: Iterable[str], config: Digest, layers: Iterable[Digest]) -> list[Json]:
    """`manifest.json`: what `docker load` looks for.

    `names` are `name:tag`; without one the image arrives with no name at all. The layers must be
    gzip or plain tar, since the classic store of Docker reads nothing else.
    """
    return [
        {
            "Config": blob_name(config),
            "RepoTags": list(names),
            "Layers": [blob_name(layer) for layer in layers],
        }
    ]


def write_archive(
    out: Sink, documents: Mapping[str, bytes], blobs: Iterable[tuple[str, int, Iterable[bytes]]]
) -> None:
    """Write the tar: documents by name, then blobs, each its hex digest, its size and its bytes.

    The documents come first, so that a reader of a stream knows what the blobs are. The bytes
    depend on names, order and contents alone.
    """
    entries: list[Entry] = [
        File(name.encode(), len(data), (data,), 0o644) for name, data in documents.items()
    ]
    entries += [Directory(b"blobs", 0o755), Directory(BLOBS.encode(), 0o755)]
    for hex_, size, content in blobs:
        entries.append(File(f"{BLOBS}/{hex_}".encode(), size, content, 0o644))
    for block in tar_blocks(entries):
        out.write(block)


def consumed(path: str) -> Iterator[bytes]:
    """A file piece by piece; it is removed at its end, so that the disk need not hold it twice."""
    with open(path, "rb", buffering=0) as file:
        yield from chunks(file)
    os.unlink(path)


def scan_archive(path: str) -> Mapping[str, tuple[int, int]]:
    """Offset and size of every file in the tar, by name; links among files are followed once.

    Raises `LayoutError` when it is no tar, and `OSError` when it cannot be read.
    """
    with open_file(path) as file:
        return scan_tar(file, path)


def scan_tar(file: BinaryIO | FileIO, shown: str) -> Mapping[str, tuple[int, int]]:
    """The same of an open file, which is at its start."""
    import tarfile  # noqa: PLC0415  # start-up counts

    found: dict[str, tuple[int, int]] = {}
    links: dict[str, str] = {}
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for info in tar:
                name = os.path.normpath(info.name)
                if info.isreg():
                    found[name] = (info.offset_data, info.size)
                elif info.islnk():
                    links[name] = os.path.normpath(info.linkname)
                elif info.issym():
                    there = os.path.join(os.path.dirname(name), info.linkname)
                    links[name] = os.path.normpath(there)
    except (tarfile.TarError, ValueError, OverflowError, MemoryError) as err:
        raise _no_tar(file, shown) from err  # the latter where numbers in a header are absurd
    found.update({name: found[there] for name, there in links.items() if there in found})
    return found


def _no_tar(file: BinaryIO | FileIO, shown: str) -> LayoutError:
    file.seek(0)
    kind = file_kind(file.read(HEAD))
    packed = "compressed" in kind
    return LayoutError(
        f"cannot read {shown}: it is not a tar archive, it is {kind}",
        hint="decompress it first" if packed else None,
    )


class Closing:
    """What is closed at the end of its `with` block."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Section(Closing):
    """A part of an open file as a binary file of its own; it closes that file."""

    def __init__(self, file: Seekable, offset: int, size: int) -> None:
        self._file = file
        self._left = size
        file.seek(offset)

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, all that is left for a negative number, nothing at the end."""
        size = self._left if size < 0 else min(size, self._left)
        data = self._file.read(size)
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()
