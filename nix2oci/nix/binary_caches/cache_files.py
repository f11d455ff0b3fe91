"""The files of a binary cache: records, and compressed NARs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from threading import Event
from typing import IO, Protocol

from msgspec import Struct

from nix2oci.errors import StoreError
from nix2oci.host.http.retry import Clock
from nix2oci.host.regular_files import open_file, read_file
from nix2oci.nix.binary_caches.narinfo import NarInfo
from nix2oci.text import display


class Web(Struct, frozen=True):
    """What is to be known to use the network."""

    env: Mapping[str, str]
    """For proxies and certificates."""
    clock: Clock
    user_agent: str
    note: Callable[[str], None]
    """Takes a line when something has to be waited for; from any thread."""


class NarFile(Struct, frozen=True):
    """Where a NAR is, and how large the file may be."""

    name: str
    """One that no other of the cache has."""
    url: str
    """Absolute, or seen from the cache."""
    size: int | None
    """Bytes, where that is known."""
    nar_size: int
    again: bool
    """Whether it will be asked for another time."""

    @classmethod
    def of(cls, record: NarInfo, *, again: bool) -> NarFile:
        info = record.info
        return cls(info.path.base, record.url, record.file_size, info.nar_size, again)

    @property
    def most(self) -> int:
        """Bytes that the file cannot be larger than: what cannot be compressed grows a little."""
        return self.size or self.nar_size + self.nar_size // 8 + (1 << 16)


class CacheFiles(Protocol):
    """Where the files of a cache are; `purpose` is what for, in errors: `cannot <purpose>: …`."""

    def read(self, name: str, most: int, purpose: str, stop: Event, /) -> bytes | None:
        """A file of at most so many bytes; None where it is not there."""

    def open(self, nar: NarFile, scratch: str, purpose: str, stop: Event, /) -> IO[bytes]:
        """A compressed NAR from its start; what has to come first may lie in `scratch`."""


class DirectoryFiles(Struct, frozen=True):
    """A cache in a directory of this machine; reading raises `StoreError`."""

    directory: str

    def read(self, name: str, most: int, purpose: str, _: Event) -> bytes | None:
        try:
            return read_file(os.path.join(self.directory, name), most)
        except FileNotFoundError:
            return None
        except OSError as err:
            raise StoreError(f"cannot {purpose}: {name}: {err.strerror}") from err

    def open(self, nar: NarFile, _: str, purpose: str, __: Event) -> IO[bytes]:
        place = os.path.normpath(os.path.join(self.directory, nar.url))
        if not place.startswith(os.path.join(os.path.normpath(self.directory), "")):
            shown = display(nar.url.encode())
            raise StoreError(f"cannot {purpose}: its NAR would not be in the cache, but at {shown}")
        try:
            return open_file(place)
        except FileNotFoundError as err:
            raise StoreError(f"cannot {purpose}: its NAR is not there") from err
        except (OSError, ValueError) as err:
            cause = getattr(err, "strerror", None) or "it has no name that a file can have"
            raise StoreError(f"cannot {purpose}: its NAR: {cause}") from err
