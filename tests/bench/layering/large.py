"""A closure of any size, to see how long a plan of it takes. It is the same every time."""

from __future__ import annotations

import hashlib

from nix2oci.model.closure import Closure, PathInfo, StorePath, reachable

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


def alike(paths: int) -> Closure:
    """All use one, and the root uses all."""
    library, *others = (_package(n).path for n in range(paths - 1))
    infos = [PathInfo(library, bytes(32), 30_000_000, ())]
    infos += [PathInfo(path, bytes(32), 1000 * n, (library,)) for n, path in enumerate(others)]
    root = _path("root", "root-1.0")
    uses = tuple(sorted([library, *others]))
    return Closure.of([*infos, PathInfo(root, bytes(32), 1000, uses)], [root])


def of_one(paths: int) -> Closure:
    """A path that refers to so many others, which refer to nothing."""
    others = [_package(n) for n in range(paths)]
    infos = [PathInfo(info.path, bytes(32), info.nar_size, ()) for info in others]
    root = _path("root", "root-1.0")
    uses = tuple(sorted(info.path for info in infos))
    return Closure.of([*infos, PathInfo(root, bytes(32), 1000, uses)], [root])


def fleet_of(images: int, paths: int) -> list[Closure]:
    """Closures of about so many paths each, whose packages overlap as those of a fleet do.

    There are eight times as many packages as an image has paths. One refers to four others at
    most, with numbers of a half of its own or less, so that what has a low number is in most
    images. An image has one root of its own above as many packages as it takes.
    """
    packages = [_package(n) for n in range(8 * paths)]
    by_path = {info.path: info for info in packages}
    fleet = []
    for number in range(images):
        digests = (_digest(f"image {number} {n}") for n in range(paths))
        chosen = (int.from_bytes(digest[:4], "big") % len(packages) for digest in digests)
        found: set[StorePath] = set()
        uses = []
        for place in chosen:
            if len(found) >= paths - 1:
                break
            uses.append(packages[place].path)
            found |= reachable([uses[-1]], lambda path: by_path[path].references)
        root = PathInfo(
            _path(f"image {number}", f"image{number}-1.0"), bytes(32), 10**6, tuple(sorted({*uses}))
        )
        fleet.append(Closure.of([root, *(by_path[path] for path in found)], [root.path]))
    return fleet


def _package(n: int) -> PathInfo:
    digest = _digest(f"package {n}")
    uses = {digest[i] * (n // 2) // 256 for i in range(digest[4] % 5)} if n > 1 else ()
    references = tuple(sorted(_path(f"package {use}", f"p{use}-1.{use}") for use in uses))
    size = int(10 ** (3 + 4.5 * digest[5] / 255))
    return PathInfo(_path(f"package {n}", f"p{n}-1.{n}"), digest, size, references)


def _path(seed: str, name: str) -> StorePath:
    number = int.from_bytes(_digest(seed), "big")
    hash_part = "".join(_ALPHABET[number >> 5 * i & 31] for i in range(32))
    return StorePath("/nix/store", hash_part, name)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
