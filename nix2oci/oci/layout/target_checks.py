"""What already lies where an image is to be written: whether it may, and what is in use there.

The rule is that nothing is lost that this program did not write. A directory is used when it is
absent, empty or an image layout, a file when it is absent, empty or an image archive; anything
else is an error that leaves it untouched. In a layout only blobs that no manifest needs any more
are removed, and only such as the replaced image had.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from msgspec import Struct

from nix2oci.errors import ConfigError, LayoutError, OutputError
from nix2oci.host.regular_files import open_file
from nix2oci.host.scratch import is_staging
from nix2oci.oci.documents import read_index as read_foreign_index
from nix2oci.oci.documents import read_layout_mark, read_manifest
from nix2oci.oci.fields import MAX_DOCUMENT, Fields, parse_json
from nix2oci.oci.layout.archive import scan_archive
from nix2oci.oci.media_types import INDEX_TYPES, MANIFEST_TYPES
from nix2oci.oci.spec import BLOBS, LAYOUT_VERSION, REF_NAME, Descriptor


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
        names = [name for name in os.listdir(path) if not is_staging(name)]
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
    for name in ("blobs", BLOBS, "index.json"):
        if os.path.islink(os.path.join(path, name)):
            raise ConfigError(
                f"cannot write image layout at {shown}: its '{name}' is a link to another place",
                hint="name a new directory with -o, or the layout that it leads to",
            )
    version = read_layout_mark(read_json(os.path.join(path, "oci-layout"), shown)).version
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
            f"cannot write image archive at {shown}: there is a file that is not an image archive",
            hint="name another file with -o, or remove this one",
        )


def _is_image_archive(path: str) -> bool:
    try:
        names = scan_archive(path).keys()
    except LayoutError:
        return False
    return names >= {"oci-layout", "index.json"} or "manifest.json" in names


def read_index(layout: str, shown: str) -> Fields:
    """`index.json` of a layout directory, an empty one where there is none.

    Raises `LayoutError` when it is not an image index, `OutputError` when it cannot be read.
    """
    path = os.path.join(layout, "index.json")
    if not os.path.lexists(path):
        return Fields({"schemaVersion": 2, "manifests": []})
    index = Fields.of(read_json(path, shown))
    tags_of(index)
    if "manifests" not in index or index.problems:
        raise LayoutError(f"cannot write image layout at {shown}: index.json is not an image index")
    return index


def tags_of(index: Fields) -> tuple[str | None, ...]:
    """The tag of each entry of an index."""
    entries = index["manifests"].objects()
    return tuple(entry["annotations"].object()[REF_NAME].text() for entry in entries)


def read_json(path: str, shown: str) -> object:
    name = os.path.basename(path)
    try:
        with open_file(path) as file:
            document = parse_json(file.read(MAX_DOCUMENT), name)
    except OSError as err:
        raise OutputError(f"cannot read {name} of {shown}: {err.strerror}") from err
    except LayoutError as err:
        raise LayoutError(f"cannot write image layout at {shown}: {name} is not JSON") from err
    if not isinstance(document, dict):
        raise LayoutError(f"cannot write image layout at {shown}: {name} is not a JSON object")
    return document


def reachable(layout: str, index: Fields) -> frozenset[str] | None:
    """The hex digests of every blob that the index needs.

    None when that cannot be told: a manifest is missing, unreadable or of a kind not known here.
    """
    found: set[str] = set()
    waiting = [Descriptor.read(entry) for entry in index["manifests"].objects()]
    while waiting:
        descriptor = waiting.pop()
        if descriptor is None or descriptor.media_type not in INDEX_TYPES | MANIFEST_TYPES:
            return None
        if descriptor.digest.hex in found:
            continue
        found.add(descriptor.digest.hex)
        try:
            needed = _needed(layout, descriptor)
        except OutputError:
            return None
        waiting += needed.documents
        found.update(leaf.digest.hex for leaf in needed.leaves)
    return frozenset(found)


class _Needed(Struct, frozen=True):
    """What an index or manifest needs."""

    documents: tuple[Descriptor, ...]
    leaves: tuple[Descriptor, ...] = ()


def _needed(layout: str, descriptor: Descriptor) -> _Needed:
    """Raises `OutputError` where it cannot be told."""
    document = read_json(os.path.join(layout, BLOBS, descriptor.digest.hex), layout)
    if descriptor.media_type in INDEX_TYPES:
        index = read_foreign_index(document)
        index.fields.check(f"cannot read {layout}")
        return _Needed((*index.manifests, *filter(None, [index.subject])))
    manifest = read_manifest(document)
    manifest.fields.check(f"cannot read {layout}")
    leaves = (*manifest.layers, *filter(None, [manifest.config]))
    return _Needed(tuple(filter(None, [manifest.subject])), leaves)


def sweep(layout: str, candidates: Iterable[str]) -> None:
    """Remove those of the candidate blobs (hex digests) that the index does not need.

    Right at any moment: after a success the candidates are the replaced image's blobs, after a
    failure or a kill the blobs that were moved in before the index was.
    """
    try:
        needed = reachable(layout, read_index(layout, layout))
    except OutputError:
        return
    if needed is None:
        return
    for name in set(candidates) - needed:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(layout, BLOBS, name))
