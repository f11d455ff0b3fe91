"""What a build keeps for the next one: layers, and what was found in the files of store paths.

A cache is a directory that any number of builds use at once, and that may lose anything at any
time: each file appears whole, under a name that says what it must hold, and is checked when it is
read. What is missing or damaged is made again, so no lock is needed to read or to write.

    CACHEDIR.TAG
    layers/KEY          which blob a layer became, and the store paths in it; or a base's blob
    blobs/sha256/HEX    the blob, named by its digest
    facts/KEY           what was found in the files of one store path
    answers/KEY         what Nix said: an evaluation, or what derivations became
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping

from msgspec import Struct

from nix2oci.cache.sealed_json import SealedJson, make_private
from nix2oci.oci.spec import BLOBS

LAYERS, FACTS, ANSWERS = "layers", "facts", "answers"
DOCUMENTS = (LAYERS, FACTS, ANSWERS)

_SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)B?", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

_TAG = "CACHEDIR.TAG"
_SIGNATURE = b"""\
Signature: 8a477f597d28d172789f06886806bc55
# A cache of nix2oci, which makes again what is removed: https://bford.info/cachedir/
"""


class Cache(Struct, frozen=True):
    """A cache in a directory. Where it cannot be used nothing is kept, and nothing fails."""

    directory: str
    limit: int
    """Bytes that it may hold after a build."""
    warn: Callable[[str], None] = lambda _: None
    """Told what is damaged."""
    remark: Callable[[str], None] = lambda _: None
    """Told why nothing can be kept."""

    @property
    def layers(self) -> SealedJson:
        return SealedJson(self.path(LAYERS), self.warn, self.remark)

    @property
    def facts(self) -> SealedJson:
        return SealedJson(self.path(FACTS), self.warn, self.remark)

    @property
    def answers(self) -> SealedJson:
        return SealedJson(self.path(ANSWERS), self.warn, self.remark)

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def prepare(self) -> bool:
        """Make the directory; whether it can be written."""
        try:
            make_private(self.path(BLOBS))
            if not os.path.lexists(self.path(_TAG)):
                with open(self.path(_TAG), "wb") as file:
                    file.write(_SIGNATURE)
        except OSError as err:
            self.remark(f"nothing is kept in the cache at {self.directory}: {err.strerror}")
            return False
        return True


def default_directory(env: Mapping[str, str]) -> str | None:
    """Where the cache is (XDG Base Directory Specification: a relative path counts for nothing).

    No home directory is made for it: builders have one that must not exist, or Nix, which builds
    without a sandbox, refuses to.
    """
    base, home = env.get("XDG_CACHE_HOME", ""), env.get("HOME", "")
    if not os.path.isabs(base):
        is_there = os.path.isabs(home) and os.path.isdir(home)
        base = os.path.join(home, ".cache") if is_there else ""
    return os.path.join(base, "nix2oci") if base else None


def why_not_private(directory: str) -> str | None:
    """Why somebody else can change what is in a cache, and how to mend it; None if nobody."""
    parts = (
        directory,
        *(os.path.join(directory, name) for name in (*DOCUMENTS, "blobs", BLOBS)),
    )
    return next(filter(None, map(_why_not_private, parts)), None)


def _why_not_private(path: str) -> str | None:
    try:
        found = os.stat(path)
    except OSError:  # to be made yet, or not to be used anyway
        return None
    if found.st_uid != os.geteuid():
        return f"it belongs to another user (chown -R {os.geteuid()} {path})"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others can write it (chmod go-w {path})"
    return None


def parse_size(text: str) -> int | None:
    """`500M` or `20G` in bytes, powers of 1000; None for what is no size."""
    found = _SIZE.fullmatch(text)
    return int(found[1]) * _UNITS[found[2].upper()] if found else None
