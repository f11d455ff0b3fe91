"""Recorded closures of a small fleet, as `nix path-info --json --recursive` prints them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from support.fakestore import store_path

LIBRARIES: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "python3-3.12.3": (60_000_000, ("glibc-2.39", "openssl-3.0.14", "zlib-1.3.1")),
    "openssl-3.0.14": (6_000_000, ("glibc-2.39",)),
    "zlib-1.3.1": (120_000, ("glibc-2.39",)),
    "glibc-2.39": (30_000_000, ()),
}
APPS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "shop-1.4": (900_000, ("python3-3.12.3", "openssl-3.0.14")),
    "worker-1.4": (400_000, ("python3-3.12.3",)),
    "admin-0.9": (2_000_000, ("openssl-3.0.14", "zlib-1.3.1")),
}


def record(name: str, more: Mapping[str, tuple[int, tuple[str, ...]]] = APPS) -> str:
    """What Nix says of a closure, by the name of its root."""
    known = {**LIBRARIES, **APPS, **more}
    found: dict[str, object] = {}
    queue = [name]
    while queue:
        size, references = known[each := queue.pop()]
        found[str(store_path(each))] = {
            "narHash": "sha256:" + "0" * 64,
            "narSize": size,
            "references": [str(store_path(other)) for other in references],
        }
        queue += references
    return json.dumps(found)


def write_fleet(directory: Path, names: Iterable[str] = APPS) -> list[str]:
    """A file for each application, `shop.json` and so on; their names."""
    files = []
    for name in names:
        files.append(f"{name.partition('-')[0]}.json")
        (directory / files[-1]).write_text(record(name), encoding="utf-8")
    return files
