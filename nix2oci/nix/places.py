"""What outputs have for the root beside programs: `etc/nginx`, `srv/www`, `var/lib/app`.

The hard part is where to stop: a directory that one output alone has is one link, so that nobody
has to look into it, and one that must be a real directory is entered, level by level.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

from msgspec import Struct
from msgspec.structs import replace

from nix2oci.errors import RepresentationError
from nix2oci.model.closure import StorePath
from nix2oci.model.closure_contents import (
    ETC_DIRECTORIES,
    OWN_DIRECTORIES,
    OWN_FILES,
    PROGRAM_DIRECTORIES,
    FoundFile,
    Reason,
    digest_content,
    reason_left_out,
)
from nix2oci.nix.store_files import StoreFiles

_MOST = 50_000
"""Paths in directories that are entered, after which there is no end in sight."""

_ALWAYS = OWN_DIRECTORIES - ETC_DIRECTORIES
"""Directories of every root: only what is in them is shown."""

Enter = Callable[[bytes], bool]
"""Whether a directory of the root is to be a real one, by its name there."""


def nowhere(_: bytes) -> bool:
    """No directory but those of every root."""
    return False


class _Found(Struct, frozen=True):
    """Something that an output has: as the root sees it, and the real directories above it."""

    found: FoundFile
    mode: int
    above: tuple[bytes, ...] = ()

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    def children(self, files: StoreFiles) -> Iterator[_Found]:
        """What is in it. A link to a directory above is not a directory: it has no end."""
        where, prefix = self.found.content, self.found.name + b"/" if self.found.name else b""
        above = (*self.above, where)
        for name in files.names(where):
            real, mode = files.follow(where, name)
            found = replace(
                self.found,
                name=prefix + name,
                target=self.found.target + b"/" + name,
                content=real if mode else _link(files, where, name),
                directory=stat.S_ISDIR(mode) and real not in above,
            )
            yield _Found(found, mode, above)

    def reason_left_out(self, store_dir: bytes) -> Reason | None:
        name = self.found.name
        if reason := reason_left_out(name):
            return reason
        is_in_the_way = (
            name == store_dir[1:].partition(b"/")[0]
            or (name in _ALWAYS and not self.found.directory)
            or (not self.mode and _leads_to_itself(name, self.found.content))
        )
        return Reason.IN_THE_WAY if is_in_the_way else None


def _link(files: StoreFiles, where: bytes, name: bytes) -> bytes:
    """The content of a link that leads out of the closure: what it says, made absolute."""
    target = os.readlink(files.at(where + b"/" + name))
    return b"link to " + os.path.join(where, target)


def _leads_to_itself(name: bytes, content: bytes) -> bool:
    """Whether a link would be a circle in the root: `etc/ssl -> /etc/ssl`."""
    place, target = b"/" + name, os.path.normpath(content.removeprefix(b"link to "))
    return target == place or target.startswith(place + b"/")


def places_of(
    files: StoreFiles, tops: Sequence[FoundFile], enter: Enter
) -> tuple[list[FoundFile], Mapping[StorePath, Mapping[bytes, Reason]]]:
    """What the root shows of outputs, by its name there, and what it does not, by output.

    Level by level; only directories are entered that the root has itself, that several outputs
    have, or that `enter` names. Two links on each level, to the same directory, are twice as many
    paths with every level: raises `RepresentationError` for what has no end in sight.
    """
    shown: list[FoundFile] = []
    left: dict[StorePath, dict[bytes, Reason]] = {}
    level = [_Found(top, stat.S_IFDIR) for top in tops if top.directory]
    room = _MOST
    while level:
        found = chain.from_iterable(directory.children(files) for directory in level)
        below = list(islice(found, room + 1))
        room -= len(below)
        if room < 0:
            raise _endless()
        below = list(_without_left_out(below, files.store_dir, left))
        counts = Counter(each.found.name for each in below)
        several = {name for name, count in counts.items() if count > 1}
        for each in below:
            name = each.found.name
            is_known = each.is_file and (name in several or name in OWN_FILES)
            if name not in _ALWAYS:
                shown.append(by_bytes(files, each.found) if is_known else each.found)
        level = [each for each in below if _is_entered(each.found, several, enter)]
    return shown, left


def _is_entered(found: FoundFile, several: set[bytes], enter: Enter) -> bool:
    name = found.name
    return found.directory and (name in several or name in OWN_DIRECTORIES or enter(name))


def _without_left_out(
    found: Iterable[_Found], store_dir: bytes, left: dict[StorePath, dict[bytes, Reason]]
) -> Iterator[_Found]:
    """What the root shows; the rest is written down, but for directories of programs."""
    for each in found:
        name = each.found.name
        if name in PROGRAM_DIRECTORIES:
            continue
        if reason := each.reason_left_out(store_dir):
            left.setdefault(each.found.owner, {})[name] = reason
        else:
            yield each


def _endless() -> RepresentationError:
    return RepresentationError(
        f"cannot merge the directories that several outputs have: they are more than {_MOST} paths",
        hint="links in there lead to directories with links, or the image can do without: "
        "--view no-etc, --view no-places",
    )


def by_bytes(files: StoreFiles, found: FoundFile) -> FoundFile:
    """The same file, its content known by its bytes instead of by where it lies."""

    def digest() -> str:
        with open(files.content(found.content), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    known = files.get_or_compute(found.content, "sha256", digest)
    return replace(found, content=digest_content(bytes.fromhex(known)))
