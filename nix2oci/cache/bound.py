"""How much a cache holds, and what goes when that is too much: the least recently used first.

A document and the blob that it names go together, the document first, so that none is left that
names nothing. A build that is about to use what goes just now finds it missing and makes it again;
one that used it has it in its image already.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from msgspec import Struct

from nix2oci.cache.directory import ANSWERS, DOCUMENTS, FACTS, LAYERS, Cache
from nix2oci.cache.sealed_json import MAX_BYTES, TEMPORARY
from nix2oci.errors import LayoutError, OutputError
from nix2oci.host.regular_files import open_file, read_file
from nix2oci.host.scratch import lock, remove_left
from nix2oci.oci.spec import BLOBS, Digest

_LOCK = "lock"
_STALE = 3600 * 10**9
"""Nanoseconds after which what is not whole, or is named by nothing, belongs to no build."""


class Item(Struct, frozen=True):
    """Something that is kept. `used` is in nanoseconds since 1970, `size` in bytes, blob excluded.

    `blob` and `paths` are those of a layer: hex digest, store paths.
    """

    name: str
    """Relative to the cache's directory."""
    used: int
    size: int
    blob: str = ""
    blob_size: int = 0
    paths: tuple[str, ...] = ()


def items(cache: Cache) -> tuple[Item, ...]:
    """All that is kept, the least recently used first."""
    found = [*_layers(cache), *_documents(cache, FACTS), *_documents(cache, ANSWERS)]
    return tuple(sorted(found, key=lambda item: (item.used, item.name)))


def size(kept: tuple[Item, ...]) -> int:
    """Bytes of items together; a blob that two of them name counts once."""
    blobs = {item.blob: item.blob_size for item in kept}
    return sum(item.size for item in kept) + sum(blobs.values())


def prune(cache: Cache, *, wait: bool = True) -> tuple[Item, ...]:
    """Remove the least recently used until the cache holds no more than its limit; what went.

    Without `wait` nothing is done while another does it. What killed builds left goes as well.
    """
    with _alone(cache, wait=wait) as alone:
        return _prune(cache) if alone else ()


def clear(cache: Cache) -> tuple[Item, ...]:
    """Remove all that is kept, and the directory with it unless there is something else in it.

    Raises `OutputError` where that is impossible.
    """
    kept = items(cache)
    try:
        for name in (*DOCUMENTS, "blobs"):
            with suppress(FileNotFoundError):
                shutil.rmtree(cache.path(name))
        for name in ("CACHEDIR.TAG", _LOCK):
            with suppress(FileNotFoundError):
                os.unlink(cache.path(name))
    except OSError as err:
        raise OutputError(f"cannot clear the cache at {cache.directory}: {err.strerror}") from err
    with suppress(OSError):
        os.rmdir(cache.directory)
    return kept


def _prune(cache: Cache) -> tuple[Item, ...]:
    remove_left_files(cache)
    if _held(cache) <= cache.limit:
        return ()
    kept = items(cache)
    users = Counter(item.blob for item in kept if item.blob)
    _sweep(cache, users.keys())
    too_much = _held(cache) - cache.limit
    gone = []
    for item in kept:
        if too_much <= 0:
            break
        _unlink(cache.path(item.name))
        too_much -= item.size
        users[item.blob] -= 1
        if item.blob and not users[item.blob]:
            _unlink(cache.path(f"{BLOBS}/{item.blob}"))
            too_much -= item.blob_size
        gone.append(item)
    return tuple(gone)


def _held(cache: Cache) -> int:
    """Bytes of all files, told without opening one: most builds need to know no more."""
    files = (entry for name in (BLOBS, *DOCUMENTS) for entry in _entries(cache.path(name)))
    return sum(status.st_size for entry in files if (status := _status(entry)))


def _sweep(cache: Cache, named: Collection[str]) -> None:
    """Remove what killed builds left: files that are not whole, and blobs that nothing names.

    A build that runs has younger ones. The lock was touched just now, so it tells the time.
    """
    now = os.stat(cache.path(_LOCK)).st_mtime_ns
    for name in (BLOBS, *DOCUMENTS):
        for entry in _entries(cache.path(name)):
            left = entry.name.startswith(TEMPORARY) or (name == BLOBS and entry.name not in named)
            if left and (status := _status(entry)) and now - status.st_mtime_ns > _STALE:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    _unlink(entry.path)


def remove_left_files(cache: Cache) -> None:
    """Remove what killed builds were about to put in: nobody holds its lock any more."""
    with suppress(OSError):
        remove_left(cache.path(BLOBS))
    for entry in (entry for name in DOCUMENTS for entry in _entries(cache.path(name))):
        if entry.name.startswith(TEMPORARY):
            with suppress(OSError), open_file(entry.path) as file:
                if lock(file.fileno()) == "held":
                    os.unlink(entry.path)


@contextmanager
def _alone(cache: Cache, *, wait: bool) -> Iterator[bool]:
    """Hold the lock of whoever removes something; False where that is impossible."""
    try:
        handle = os.open(cache.path(_LOCK), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:  # nothing can be removed there, or there is no cache
        yield False
        return
    try:
        yield _lock(handle, wait=wait)
    finally:
        os.close(handle)


def _lock(handle: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: two that remove do no harm
        pass
    os.utime(handle)
    return True


def _layers(cache: Cache) -> Iterator[Item]:
    for item in _documents(cache, LAYERS):
        document = _peek(cache.path(item.name))
        try:
            blob = Digest.parse(document.get("digest")).hex
            blob_size = os.stat(cache.path(f"{BLOBS}/{blob}")).st_size
        except (OSError, LayoutError):  # a document that names nothing is only itself
            yield item
        else:
            listed = document.get("paths")
            paths = tuple(map(str, listed if isinstance(listed, list) else ()))
            yield Item(item.name, item.used, item.size, blob, blob_size, paths)


def _documents(cache: Cache, kind: str) -> Iterator[Item]:
    for entry in _entries(cache.path(kind)):
        if not entry.name.startswith(TEMPORARY) and (status := _status(entry)):
            yield Item(f"{kind}/{entry.name}", status.st_mtime_ns, status.st_size)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    with suppress(OSError):  # it went just now
        return entry.stat(follow_symlinks=False)
    return None


def _peek(path: str) -> dict[str, Any]:
    """What a document says, unchecked and unused."""
    try:
        found = json.loads(read_file(path, MAX_BYTES).partition(b"\n")[2])
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return list(found)
    except OSError:
        return []


def _unlink(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
