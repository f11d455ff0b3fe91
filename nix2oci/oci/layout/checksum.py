"""Whether a file is the blob that was written there, for a tenth of what its digest costs.

A blob's CRC-64 is noted while its digest is made, of the same bytes in memory. It finds what
happens to bytes on a disk: a change of them passes once in 2^64. It is no proof against who means
harm, but whoever can change a kept blob can change what is noted of it as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from io import FileIO

from nix2oci.oci.spec import Digest

_CHUNK = 1 << 20

_Data = bytes | memoryview


def checksum(data: _Data, before: int | None = 0) -> int | None:
    """CRC-64/XZ (The .xz File Format, 6.3) of `data`, behind bytes of which it is `before`.

    None where `before` is, and where Python lacks the package for it.
    """
    if before is None or (crc := _crc64()) is None:
        return None
    return crc(data, before)


@cache
def _crc64() -> Callable[[_Data, int], int] | None:
    try:
        from fastcrc import crc64  # noqa: PLC0415  # start-up counts
    except ImportError:
        return None
    found: Callable[[_Data, int], int] = crc64.xz
    return found


def is_blob(file: FileIO, digest: Digest, noted: int | None = None) -> bool:
    """Whether a file, which is read to its end, has the checksum that was noted, else the digest.

    Raises `OSError`.
    """
    if noted is None or _crc64() is None:
        return hashlib.file_digest(file, "sha256").hexdigest() == digest.hex
    memory = memoryview(bytearray(_CHUNK))
    found: int | None = 0
    while size := file.readinto(memory):
        found = checksum(memory[:size], found)
    return found == noted
