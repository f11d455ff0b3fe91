"""The record that a binary cache has of a store path (`HASH.narinfo`), and what it proves.

The hard part is trust: the text comes from another machine. What is read of it is held against the
store path that was asked for, and is believed only where a signature or a content address vouches
for just these values (src/libstore/nar-info.cc and path-info.cc of Nix).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from msgspec import Struct

from nix2oci.errors import ClosureError, StoreError
from nix2oci.model.closure import PathInfo, StorePath, parse_nar_hash, to_base32
from nix2oci.text import display

MOST_BYTES = 1 << 20
"""Of a record; those with a thousand references have some 60 kB."""

_MOST_SIZE = 1 << 63
_LISTS = frozenset({"Sig"})
_SIGNATURE = re.compile(r"[^\s:]+:[0-9A-Za-z+/]+={0,2}")


class NarInfo(Struct, frozen=True):
    """A store path with the place of its NAR, and who vouches for it."""

    info: PathInfo
    url: str
    """Of the NAR, absolute or seen from the cache."""
    compression: str
    """As Nix names it: `xz`, `zstd`, `bzip2`, `none`."""
    file_size: int | None
    """Bytes of the compressed NAR, where that is said."""
    signatures: tuple[str, ...]
    """`KEY NAME:base64`."""
    content_address: str

    @classmethod
    def parse(cls, text: str, path: StorePath, cache: str) -> NarInfo:
        """Read what `cache` has of a store path; `StoreError` for what is no record of it."""
        try:
            return _record(text, path)
        except ValueError as err:
            raise StoreError(f"cannot use {path}: its record in {cache} {err}") from err

    @property
    def fingerprint(self) -> str:
        """What is signed: path, NAR hash, size and references."""
        info = self.info
        references = sorted(info.references, key=lambda path: path.base)
        return ";".join(
            (
                *("1", str(info.path), f"sha256:{to_base32(info.nar_hash)}", str(info.nar_size)),
                ",".join(map(str, references)),
            )
        )

    @property
    def is_content_addressed(self) -> bool:
        """Whether the store path itself says what its NAR hash is.

        An address of another kind than that of the NAR, such as that of a flat file, proves
        nothing about the NAR, and neither does one that counts its own name.
        """
        info = self.info
        if not self.content_address or info.path in info.references:
            return False
        references = "".join(f":{path}" for path in sorted(info.references, key=lambda p: p.base))
        whole = f"source{references}:sha256:{info.nar_hash.hex()}"
        digest = hashlib.sha256(f"{whole}:{info.path.store_dir}:{info.path.name}".encode()).digest()
        return to_base32(_folded(digest, 20)) == info.path.hash_part


def _record(text: str, path: StorePath) -> NarInfo:
    fields, signatures = _fields(text)
    found = _needed(fields, "StorePath")
    if found != str(path):
        raise ValueError(f"is of {_shown(found)}")
    size = _number(_needed(fields, "NarSize"), "NarSize")
    if not size:
        raise ValueError("has a NarSize of 0")
    info = PathInfo(path, _hash(_needed(fields, "NarHash")), size, _references(fields, path))
    file_size = _number(fields["FileSize"], "FileSize") if fields.get("FileSize") else None
    return NarInfo(
        info,
        _needed(fields, "URL"),
        fields.get("Compression") or "bzip2",  # what it was before there was the field
        file_size or None,
        signatures,
        fields.get("CA", ""),
    )


def _fields(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The fields, each of which there is once, and the signatures."""
    fields: dict[str, str] = {}
    signatures: list[str] = []
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        value = value.strip()
        if not colon:
            raise ValueError(f"has a line without a name: {_shown(line)}")
        if name in _LISTS:
            signatures.append(value)
        elif name in fields:
            raise ValueError(f"has '{_shown(name)}' twice")
        else:
            fields[name] = value
    return fields, tuple(each for each in signatures if _SIGNATURE.fullmatch(each))


def _references(fields: dict[str, str], path: StorePath) -> tuple[StorePath, ...]:
    found = set()
    for name in fields.get("References", "").split():
        try:
            found.add(StorePath.parse(f"{path.store_dir}/{name}"))
        except ClosureError:
            raise ValueError(f"has a reference that is no store path: {_shown(name)}") from None
    return tuple(sorted(found))


def _hash(text: str) -> bytes:
    try:
        return parse_nar_hash(text)
    except ValueError as err:
        raise ValueError(f"has a NarHash that is {err}") from err


def _needed(fields: dict[str, str], name: str) -> str:
    value = fields.get(name)
    if not value:
        raise ValueError(f"has no {name}")
    return value


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < _MOST_SIZE):
        raise ValueError(f"has a {name} that is no size: {_shown(text)}")
    return int(text)


def _shown(text: str) -> str:
    return display(text[:300].encode("utf-8", "replace"))


def _folded(digest: Iterable[int], size: int) -> bytes:
    """A hash made shorter as Nix does it for store paths (`compressHash`)."""
    short = bytearray(size)
    for number, byte in enumerate(digest):
        short[number % size] ^= byte
    return bytes(short)
