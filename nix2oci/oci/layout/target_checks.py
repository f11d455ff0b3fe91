"""What already lies where an image is to be written: whether it may, and what is in use there.

The rule is that nothing is lost that this program did not write. A directory is used when it is
absent, empty or an image layout, a file when it is absent, empty or an image archive; anything
else is an error that leaves it untouched. In a layout only blobs that no manifest needs any more
are removed, and only such as the replaced image had.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from nix2oci.errors import ConfigError, LayoutError
from nix2oci.oci.layout.archive import BLOBS, scan_archive
from nix2oci.oci.spec import LAYOUT_VERSION, Digest, Json

STAGING = ".nix2oci-"
"""How the name of every staging directory starts."""

_CONTAINERS = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }
)
_MAX_DOCUMENT = 16 << 20


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Hold the directory's own lock, so that two writers change a layout one after the other.

    Where a file system has no locks for directories (NFS) this is no lock at all.
    """
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def check_layout_target(path: str, shown: str) -> None:
    """Raise unless an image layout may be written at `path`; `shown` is how the user named it."""
    try:
        names = [name for name in os.listdir(path) if not name.startswith(STAGING)]
    except FileNotFoundError:
        return
    except NotADirectoryError as err:
        raise ConfigError(
            f"cannot write image layout at {shown}: there is a file",
            hint="name another path with -o, or write an archive with --format archive",
        ) from err
    if not names:
        return
    if "oci-layout" not in names:
        raise ConfigError(
            f"cannot write image layout at {shown}: "
            f"the directory holds other things, such as '{min(names)}'",
            hint="name a new directory, or an image layout, with -o",
        )
    version = _json(os.path.join(path, "oci-layout"), shown).get("imageLayoutVersion")
    if version != LAYOUT_VERSION:
        raise LayoutError(
            f"cannot write image layout at {shown}: its version is {version!r}, not '1.0.0'"
        )
    read_index(path, shown)


def check_archive_target(path: str, shown: str) -> None:
    """Raise unless an archive may be written at `path`; `shown` is how the user named it."""
    if not os.path.lexists(path):
        return
    if os.path.isdir(path):
        raise ConfigError(
            f"cannot write image archive at {shown}: there is a directory",
            hint="name a file with -o, or write a layout with --format oci",
        )
    if not os.path.isfile(path):
        raise ConfigError(
            f"cannot write image archive at {shown}: it is not a regular file",
            hint="write to standard output with -o -",
        )
    if os.path.getsize(path) and not _is_image_archive(path):
        raise ConfigError(
            f"cannot write image archive at {shown}: there is a file that is no image archive",
            hint="name another file with -o, or remove this one",
        )


def _is_image_archive(path: str) -> bool:
    try:
        names = scan_archive(path).keys()
    except LayoutError:
        return False
    return names >= {"oci-layout", "index.json"} or "manifest.json" in names


def read_index(layout: str, shown: str) -> Json:
    """`index.json` of a layout directory, an empty one where there is none.

    Raises `LayoutError` when it is not an image index.
    """
    path = os.path.join(layout, "index.json")
    if not os.path.lexists(path):
        return {"schemaVersion": 2, "manifests": []}
    index = _json(path, shown)
    manifests = index.get("manifests")
    if not isinstance(manifests, list) or not all(isinstance(m, dict) for m in manifests):
        raise LayoutError(f"cannot write image layout at {shown}: index.json is not an image index")
    return index


def _json(path: str, shown: str) -> Json:
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read(_MAX_DOCUMENT))
    except ValueError as err:
        raise LayoutError(
            f"cannot write image layout at {shown}: {os.path.basename(path)} is not JSON"
        ) from err
    if not isinstance(document, dict):
        raise LayoutError(
            f"cannot write image layout at {shown}: {os.path.basename(path)} is not a JSON object"
        )
    return document


def reachable(layout: str, index: Json) -> frozenset[str] | None:
    """The hex digests of every blob that the index needs.

    None when that cannot be told: a manifest is missing, unreadable or of a kind not known here.
    """
    found: set[str] = set()
    waiting: list[Any] = list(index["manifests"])
    while waiting:
        descriptor = waiting.pop()
        try:
            digest = Digest.parse(descriptor["digest"])
            if digest.hex in found:
                continue
            found.add(digest.hex)
            if descriptor["mediaType"] not in _CONTAINERS:
                return None
            document = _json(os.path.join(layout, BLOBS, digest.hex), layout)
            waiting += document.get("manifests", ())
            if "subject" in document:
                waiting.append(document["subject"])
            leaves = [*document.get("layers", ()), *filter(None, [document.get("config")])]
            found.update(Digest.parse(leaf["digest"]).hex for leaf in leaves)
        except (LayoutError, OSError, KeyError, TypeError, AttributeError):
            return None
    return frozenset(found)


def sweep(layout: str, candidates: Iterable[str]) -> None:
    """Remove those of the candidate blobs (hex digests) that the index does not need.

    Right at any moment: after a success the candidates are the replaced image's blobs, after a
    failure or a kill the blobs that were moved in before the index was.
    """
    try:
        needed = reachable(layout, read_index(layout, layout))
    except (LayoutError, OSError):
        return
    if needed is None:
        return
    for name in set(candidates) - needed:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(layout, BLOBS, name))
