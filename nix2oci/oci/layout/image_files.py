"""The files of a layout directory or archive, and the blobs among them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from typing import BinaryIO

from msgspec import Struct, field

from nix2oci.errors import OutputError
from nix2oci.host.regular_files import open_file
from nix2oci.oci.file_type import HEAD
from nix2oci.oci.layout.archive import Files, Readable, Section, Seekable, blob_name, scan_tar
from nix2oci.oci.layout.packed import packing_of, unpack
from nix2oci.oci.spec import Digest


class Directory(Struct, frozen=True):
    """The files below a directory."""

    root: str

    def size(self, name: str) -> int | None:
        try:
            return os.stat(os.path.join(self.root, name)).st_size
        except OSError:  # whoever opens it is told why
            return None

    def open(self, name: str) -> BinaryIO:
        return open_file(os.path.join(self.root, name))


class Archive(Struct, frozen=True):
    """The files in a tar; `members` has where each begins, and its size."""

    opened: Callable[[], Seekable]
    members: Mapping[str, tuple[int, int]]

    def size(self, name: str) -> int | None:
        return self.members[name][1] if name in self.members else None

    def open(self, name: str) -> Section:
        if name not in self.members:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return Section(self.opened(), *self.members[name])


class FileBlobs(Struct, frozen=True):
    """Blobs as files; `names` has those that are not where image-layout.md puts them."""

    where: str
    files: Files
    names: Mapping[Digest, str] = field(default_factory=dict)
    made: Mapping[Digest, bytes] = field(default_factory=dict)
    """Documents that the files lack."""

    def size(self, digest: Digest) -> int | None:
        if digest in self.made:
            return len(self.made[digest])
        return self.files.size(self.names.get(digest) or blob_name(digest))

    def open(self, digest: Digest) -> Readable:
        if digest in self.made:
            return BytesIO(self.made[digest])
        try:
            return self.files.open(self.names.get(digest) or blob_name(digest))
        except OSError as err:
            raise OutputError(f"cannot read blob {digest} of {self.where}: {err.strerror}") from err


def open_archive(text: str, path: str) -> Archive:
    """The files of an archive, which is unpacked first where it is compressed."""
    with open_file(path) as file:
        compression = packing_of(file.read(HEAD))
        file.seek(0)
        if compression == "none":
            return Archive(partial(open_file, path), scan_tar(file, path))
        plain = unpack(file, compression, text)
    with plain.file() as unpacked:
        return Archive(plain.view, scan_tar(unpacked, f"{text}, unpacked"))
