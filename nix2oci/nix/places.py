"""What outputs have for the root beside programs: `etc/nginx`, `srv/www`, `var/lib/app`.

The hard part is where to stop: a directory that one output alone has is one link, so that nobody
has to look into it, and one that must be a real directory is entered, level by level.
"""

from __future__ import annotations

import hashlib
import os
import re
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
    Copied,
    FoundFile,
    Reason,
    digest_content,
    is_of_state,
    reason_left_out,
)
from nix2oci.model.tree import parents
from nix2oci.nix.store_files import StoreFiles
from nix2oci.text import display

_MOST = 50_000
"""Paths in directories that are entered, after which there is no end in sight."""

_ALWAYS = OWN_DIRECTORIES - ETC_DIRECTORIES
"""Directories of every root: only what is in them is shown."""

_ACCOUNTS = frozenset({b"etc/passwd", b"etc/group"})
"""Files that are joined with those of every image."""

_STATIC = b"link to /etc/static/"
"""Where the files in /etc of a NixOS lead: a link to the output that has them."""
_SIDE_FILES = (b".mode", b".uid", b".gid")
_LONGEST_WORD = 100
_LARGEST = 1 << 20

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
    attributes: Copied | None = None
    """Mode and owner that NixOS gives to the copy of a file of /etc."""

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    def children(self, files: StoreFiles) -> Iterator[_Found]:
        """What is in it. A link to a directory above is not a directory: it has no end."""
        where, prefix = self.found.content, self.found.name + b"/" if self.found.name else b""
        above = (*self.above, where)
        names = files.names(where)
        given = _attributes(files, where, names) if prefix.startswith(b"etc/") else {}
        beside = {name + end for name in given for end in _SIDE_FILES}
        for name in names:
            if name in beside:
                continue
            real, mode = _follow(files, above, name)
            is_directory = stat.S_ISDIR(mode) and real not in above
            found = replace(
                self.found,
                name=prefix + name,
                target=self.found.target + b"/" + name,
                content=real if mode else _link(files, where, name),
                directory=is_directory,
                is_empty=is_directory and prefix[:4] != b"etc/" and not files.names(real),
            )
            yield _Found(found, mode, above, given.get(name))

    def with_copy(self, files: StoreFiles) -> FoundFile:
        """With its bytes, where they are joined with others or have a mode and an owner."""
        if not self.is_file:
            return self.found
        attributes = self.attributes
        if attributes is None and self.found.name in _ACCOUNTS:
            attributes = Copied(b"")
        if attributes is None:
            return self.found
        return replace(self.found, copied=replace(attributes, data=_read(files, self.found)))

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


def _follow(files: StoreFiles, above: tuple[bytes, ...], name: bytes) -> tuple[bytes, int]:
    """Where a name of the last directory leads; /etc/static of NixOS is the output's own."""
    real, mode = files.follow(above[-1], name)
    target = b"" if mode else _link(files, above[-1], name)
    if target.startswith(_STATIC):
        return files.follow(above[0], target.removeprefix(b"link to /"))
    return real, mode


def _attributes(
    files: StoreFiles, where: bytes, names: Sequence[bytes]
) -> dict[bytes, Copied | None]:
    """The files that NixOS has modes and owners for, in files beside them (nixpkgs, etc.nix).

    None is said of a link that is to stay one (`direct-symlink`).
    """
    found: dict[bytes, Copied | None] = {}
    known = set(names)
    for name in [name.removesuffix(b".mode") for name in names if name.endswith(b".mode")]:
        if not {name, *(name + end for end in _SIDE_FILES)} <= known:
            continue
        mode, uid, gid = (_text(files, where, name + end) for end in _SIDE_FILES)
        if mode == "direct-symlink":
            found[name] = None
        elif re.fullmatch("[0-7]{3,4}", mode) and uid and gid:
            owner = ":".join(part.removeprefix("+") for part in (uid, gid))
            found[name] = Copied(b"", int(mode, 8), owner)
    return found


def _with_attributes(files: StoreFiles, top: FoundFile) -> set[bytes]:
    """The directories in etc/ of an output in which files have a mode and an owner."""
    etc, mode = files.follow(top.content, b"etc")
    found: set[bytes] = set()
    waiting = [etc] if stat.S_ISDIR(mode) else []
    while waiting:
        real = waiting.pop()
        names = files.names(real)
        below = (files.mode(real, name) for name in names)
        waiting += [path for path, mode in below if stat.S_ISDIR(mode)]
        if any(name.endswith(b".mode") for name in names) and _attributes(files, real, names):
            inside = b"etc" + real.removeprefix(etc)
            found |= {inside, *parents(inside)}
    return found


def _text(files: StoreFiles, where: bytes, name: bytes) -> str:
    """A word in a small file; empty for anything else."""
    real, mode = files.follow(where, name)
    if not stat.S_ISREG(mode):
        return ""
    with open(files.content(real), "rb") as file:
        word = file.read(_LONGEST_WORD + 1).strip()
    return word.decode("ascii", "replace") if len(word) <= _LONGEST_WORD else ""


def _read(files: StoreFiles, found: FoundFile) -> bytes:
    with open(files.content(found.content), "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise RepresentationError(
            f"cannot copy {display(found.target)} to /{display(found.name)}: "
            f"it is larger than {_LARGEST >> 20} MiB"
        )
    return data


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
    with_attributes = {name for each in level for name in _with_attributes(files, each.found)}
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
        shown += (_shown(each, files, several) for each in below if each.found.name not in _ALWAYS)
        level = [e for e in below if _is_entered(e.found, several | with_attributes, enter)]
    return shown, left


def _shown(each: _Found, files: StoreFiles, several: set[bytes]) -> FoundFile:
    found = each.with_copy(files)
    may_clash = found.name in several or found.name in OWN_FILES
    return by_bytes(files, found) if each.is_file and may_clash else found


def _is_entered(found: FoundFile, wanted: set[bytes], enter: Enter) -> bool:
    name = found.name
    return found.directory and (
        name in wanted or name in OWN_DIRECTORIES or is_of_state(name) or enter(name)
    )


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
