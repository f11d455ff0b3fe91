"""A closure of any size, to see how long a plan of it takes. It is the same every time."""

from __future__ import annotations

import hashlib

from nix2oci.model.closure import Closure, PathInfo, StorePath

_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"


def closure_of(paths: int) -> Closure:
    """Each refers to one of the first thirty and to four of the 200 before it, of 1 KB to 30 MB."""
    known: list[StorePath] = []
    infos = []
    for n in range(paths):
        digest = hashlib.sha256(str(n).encode()).digest()
        number = int.from_bytes(digest, "big")
        hash_part = "".join(_ALPHABET[number >> 5 * i & 31] for i in range(32))
        path = StorePath("/nix/store", hash_part, f"p{n}-1.{n}")
        near = known[-200:]
        picked = {near[digest[i] * len(near) // 256] for i in range(4) if near}
        picked |= {known[digest[4] * min(n, 30) // 256]} if known else set()
        size = int(10 ** (3 + 4.5 * digest[5] / 255))
        infos.append(PathInfo(path, digest, size, tuple(sorted(picked))))
        known.append(path)
    return Closure.of_all(infos)
