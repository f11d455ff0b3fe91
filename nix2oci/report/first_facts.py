"""What people ask first of an image that is planned: what it starts, and how large it will be.

No layer is made for that: some of the bytes of each store path are compressed, evenly taken, the
same each time. For git and Python that came within three per cent of the layers as they are written
with gzip, and six with zstd, which gains more by looking farther.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from msgspec import Struct

from nix2oci.model.closure import StorePath
from nix2oci.nix.store import LocalStore
from nix2oci.nix.store_files import unreadable
from nix2oci.oci.layer.blob import compressed
from nix2oci.oci.layer.compression import Compression
from nix2oci.pipeline import describe
from nix2oci.pipeline.on_base import run_config
from nix2oci.pipeline.prepared import Prepared

_PIECE = 1 << 18
_PIECES = 24
"""Bytes that are looked at together, and how often for each store path: 6 MiB of a large one."""


class FirstFacts(Struct, frozen=True):
    """None is what cannot be known."""

    app: tuple[StorePath, ...] = ()
    """The outputs of what was named first; empty where there is but a closure."""
    starts: tuple[str, ...] | None = None
    """Program and arguments."""
    compressed: Mapping[StorePath, int] | None = None
    """Bytes in a layer, estimated."""
    base_size: int = 0
    """Compressed bytes of the base image's layers."""


def first_facts(prepared: Prepared) -> FirstFacts:
    """Those of an image. Reads some of its files; raises `StoreError`."""
    spec, on = prepared.spec, prepared.on_base
    argv = describe.entrypoint(spec, prepared.built[0], prepared.survey)
    base = on.base if on else None
    config = run_config(spec, prepared.package.system, base, argv)
    sizes = None
    if isinstance(prepared.store, LocalStore):
        planned = [path for layer in prepared.plan.layers for path in layer.paths]
        root = os.fsencode(prepared.store.root)
        sizes = {
            path: _compressed(root + os.fsencode(str(path)), spec.compressions.settled)
            for path in planned
        }
    app = tuple(path for path in prepared.built[0].roots if path in prepared.closure)
    below = sum(layer.size for layer in base.layers) if base else 0
    return FirstFacts(app, (*config.entrypoint, *config.cmd), sizes, below)


def _compressed(path: bytes, compression: Compression) -> int:
    """About how many bytes a store object has in a layer."""
    try:
        files = [*_files(path)]
        total = sum(size for _, size in files)
        seen = packed = 0
        for start in _starts(total):
            piece = _read(files, start)
            seen += len(piece)
            packed += len(compressed(piece, compression))
    except OSError as err:
        raise unreadable(err) from err
    return round(packed * total / seen) if seen else 0


def _starts(total: int) -> Iterator[int]:
    """Where the pieces begin, among all bytes of the files one after the other."""
    if total <= _PIECE * _PIECES:
        yield from range(0, total, _PIECE)
    else:
        yield from (number * (total - _PIECE) // (_PIECES - 1) for number in range(_PIECES))


def _read(files: list[tuple[bytes, int]], start: int) -> bytes:
    """The piece that begins there, over the borders of files."""
    piece = b""
    for name, size in files:
        if start >= size:
            start -= size
            continue
        with open(name, "rb") as file:
            file.seek(start)
            piece += file.read(_PIECE - len(piece))
        start = 0
        if len(piece) >= _PIECE:
            break
    return piece


def _files(path: bytes) -> Iterator[tuple[bytes, int]]:
    """The regular files of a store object and their sizes, in the order of a layer."""
    waiting = [path]
    while waiting:
        path = waiting.pop()
        if os.path.islink(path):
            continue
        if os.path.isdir(path):
            names = sorted(os.listdir(path), reverse=True)
            waiting += [os.path.join(path, name) for name in names]
        else:
            yield path, os.path.getsize(path)
