"""Hash parts of store paths within any bytes: how a file refers to a store path.

Nix itself finds references so (src/libstore/references.cc). What is compressed, or written in
16-bit characters, is seen by neither. The hard part is speed: a layer is hundreds of megabytes, so
the bytes are made into ones and zeros, and 32 ones in a row are searched for.
"""

from __future__ import annotations

from collections.abc import Iterator

_LENGTH = 32
_ALPHABET = b"0123456789abcdfghijklmnpqrsvwxyz"
_IS_DIGIT = bytes(byte in _ALPHABET for byte in range(256))
_RUN = b"\1" * _LENGTH


def hash_parts(data: bytes) -> Iterator[bytes]:
    """What may be a hash part: 32 digits of Nix's base 32, at either end of a run of them.

    A real one is preceded by `/` or followed by `-`, so it is at an end of its run.
    """
    digits = data.translate(_IS_DIGIT)
    end = 0
    while (start := digits.find(_RUN, end)) >= 0:
        end = digits.find(b"\0", start + _LENGTH)
        end = len(data) if end < 0 else end
        yield data[start : start + _LENGTH]
        if end - start > _LENGTH:
            yield data[end - _LENGTH : end]


class HashParts:
    """The hash parts in content that comes in pieces, wherever it is cut.

    A cut may add what is none; whoever knows the store paths tells them apart.
    """

    __slots__ = ("_before", "found")

    def __init__(self) -> None:
        self.found: set[bytes] = set()
        self._before = b""

    def feed(self, piece: bytes | memoryview) -> None:
        """The next piece."""
        data = self._before + bytes(piece)
        self.found.update(hash_parts(data))
        self._before = data[1 - _LENGTH :]
